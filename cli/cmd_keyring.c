/* Root keys. */
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/variable.h"

#define ROOT_KEYS_FIELDS(X, T) X(T, LIST(root_key_stub), items, "Items")
#define ROTATED_FIELDS(X, T) X(T, OBJ(root_key_stub), key, "Key")

OBJECT_DECLARE(root_keys, ROOT_KEYS_FIELDS);
OBJECT_DECLARE(rotated, ROTATED_FIELDS);
OBJECT_DEFINE(root_keys, ROOT_KEYS_FIELDS);
OBJECT_DEFINE(rotated, ROTATED_FIELDS);

static void show_keys(struct arena *mem, const struct root_key_stub *keys, uint32_t n, bool verbose)
{
	struct table t = {0};
	uint32_t i;

	table_row(&t, "Key", "State", "Create Time");
	for (i = 0; i < n; i++) {
		table_row(&t, format_id(mem, keys[i].id, verbose), keys[i].state,
			  format_time(mem, keys[i].create_time));
	}
	table_print(&t, stdout);
}

static int list(struct client *c, struct args *args)
{
	struct root_keys keys;

	client_url(c, "/v1/operator/keyring/keys");
	if (!client_read_list(c, "querying the keyring", &root_keys_type, &keys)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
	} else {
		show_keys(c->mem, keys.items.at, keys.items.n, args_has(args, "verbose"));
	}
	return EXIT_OK;
}

static int rotate(struct client *c, struct args *args)
{
	struct rotated r;

	client_url(c, "/v1/operator/keyring/rotate");
	if (args_has(args, "full")) {
		client_param(c, "full", "true");
	}
	if (!client_ok(c, "rotating the root key", "PUT", NULL, 0) ||
	    !client_decode(c, "rotating the root key", &rotated_type, &r) || r.key == NULL) {
		return EXIT_ERROR;
	}
	show_keys(c->mem, r.key, 1, args_has(args, "verbose"));
	return EXIT_OK;
}

static int remove_key(struct client *c, struct args *args)
{
	client_url(c, "/v1/operator/keyring/key/%s", client_escape(c, args->rest[0]));
	if (args_has(args, "force")) {
		client_param(c, "force", "true");
	}
	if (!client_ok(c, "removing the root key", "DELETE", NULL, 0)) {
		return EXIT_ERROR;
	}
	printf("Removed encryption key %s\n", args->rest[0]);
	return EXIT_OK;
}

CLIENT_RUN(list)
CLIENT_RUN(rotate)
CLIENT_RUN(remove_key)

static const struct flag list_flags[] = {{"json", NULL, "Print the server's answer."},
					 {"verbose", NULL, "Show whole IDs."},
					 {NULL, NULL, NULL}};

const struct command command_operator_root_keyring_list = {
	.name = "operator root keyring list",
	.usage = "[options]",
	.summary = "List the keys that encrypt variables",
	.flags = list_flags,
	.api = true,
	.run = run_list,
};

static const struct flag rotate_flags[] = {{"full", NULL, "Encrypt all variables anew, in the background."},
					   {"verbose", NULL, "Show whole IDs."},
					   {NULL, NULL, NULL}};

const struct command command_operator_root_keyring_rotate = {
	.name = "operator root keyring rotate",
	.usage = "[options]",
	.summary = "Make a new key, which encrypts from now on",
	.flags = rotate_flags,
	.api = true,
	.run = run_rotate,
};

static const struct flag remove_flags[] = {{"force", NULL, "Even if variables need it: they are lost."},
					   {NULL, NULL, NULL}};

const struct command command_operator_root_keyring_remove = {
	.name = "operator root keyring remove",
	.usage = "[options] KEY",
	.summary = "Remove a key that is not active any more",
	.flags = remove_flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run_remove_key,
};
