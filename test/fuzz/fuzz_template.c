/* Templates, and the variables of rendered ones, from any bytes: no crash, and no output beyond what goes in. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/template.h"

#define ANSWER(target, body) {target, 200, body, sizeof(body) - 1}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pair pairs[] = {{"A", "1"}, {"B", "two words"}};
	static const struct task_env env = {.vars = {pairs, 2}};
	static const struct template_answer known[] = {
		ANSWER("/v1/var/a?namespace=default", "{\"Path\":\"a\",\"Items\":{\"k\":\"v\"}}"),
		ANSWER("/v1/service/b?namespace=default", "[{\"Address\":\"::\",\"Port\":1,\"Tags\":[\"t\"]}]")};
	static struct template_data cluster = {.known = known, .n_known = 2, .namespace_ = "default", .region = "global"};
	static const struct template_args args = {.left = "", .right = "", .env = &env, .data = &cluster};
	char why[TEMPLATE_WHY];
	char *text = malloc(size + 1);
	struct arena mem = {0};
	struct buf out = {0};
	struct map map;

	memcpy(text, data, size);
	text[size] = '\0';
	cluster.n_wants = 0;
	cluster.mem = &mem;
	(void)template_render(text, size, &args, &out, why);
	(void)template_variables(text, size, &map, &mem, why);
	(void)task_env_replace(&env, text, &mem);
	arena_close(&mem);
	buf_close(&out);
	free(text);
	return 0;
}
