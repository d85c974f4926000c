/* Templates, and the variables of rendered ones, from any bytes: no crash, and no output beyond what goes in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pair pairs[] = {{"A", "1"}, {"B", "two words"}};
	static const struct task_env env = {.vars = {pairs, 2}};
	char why[TEMPLATE_WHY];
	char *text = malloc(size + 1);
	struct arena mem = {0};
	struct buf out = {0};
	struct map map;

	memcpy(text, data, size);
	text[size] = '\0';
	(void)template_render(text, size, "", "", &env, &out, why);
	(void)template_variables(text, size, &map, &mem, why);
	(void)task_env_replace(&env, text, &mem);
	arena_close(&mem);
	buf_close(&out);
	free(text);
	return 0;
}
