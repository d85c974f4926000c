/* A task's driver config and the paths of file requests: text from users, read on every node. And what an executor is
 * told by its agent. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "client/beneath.h"
#include "client/driver.h"
#include "client/executor/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const char *text)
{
	const struct driver *d;
	struct driver_error error;
	unsigned i;

	for (i = 0; (d = driver_at(i)) != NULL; i++) {
		error.text[0] = '\0';
		if (d->validate(text, &error) != 0) {
			assert(error.text[0] != '\0');
		}
	}
}

/* What is called clean has no component that leads up or nowhere, and stays the same when cleaned again. */
static void check_path(const char *text)
{
	char clean[256];
	char again[256];
	const char *at;
	size_t n;

	if (beneath_clean(text, clean, sizeof(clean)) != 0) {
		return;
	}
	assert(beneath_clean(clean, again, sizeof(again)) == 0 && strcmp(clean, again) == 0);
	for (at = clean; strcmp(clean, ".") != 0; at += n + 1) {
		n = strcspn(at, "/");
		assert(n > 0 && !(n <= 2 && strspn(at, ".") >= n));
		if (at[n] == '\0') {
			break;
		}
	}
}

/* What was read is whole, and written again it is the same. */
static void check_spec(const uint8_t *data, size_t size)
{
	void *copy = aligned_alloc(8, (size + 8) & ~(size_t)7);
	struct executor_spec spec;
	struct buf again = {0};

	memcpy(copy, data, size);
	if (executor_spec_decode(copy, size, &spec) == 0) {
		executor_spec_encode(&spec, &again);
		assert(again.len == size && spec.args[spec.args_n] == NULL && spec.env[spec.env_n] == NULL);
	}
	buf_close(&again);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	check_config(text);
	check_path(text);
	check_spec(data, size);
	free(text);
	return 0;
}
