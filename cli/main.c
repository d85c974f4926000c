#include "cli/command.h"

/* Read by jemalloc at its start. Two arenas, as a server has two busy threads; small caches; and pages that are not used
 * go back to the system after a second, as most agents are idle most of the time. */
extern const char *malloc_conf;
const char *malloc_conf __attribute__((used)) =
	"narenas:2,tcache_max:4096,dirty_decay_ms:1000,muzzy_decay_ms:0,background_thread:false";

int main(int argc, char **argv)
{
	return command_main(argc, argv);
}
