/* Access control: the first token, policies, tokens, roles. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/act.h"
#include "cli/commands.h"
#include "cli/format.h"
#include "cli/show.h"
#include "cli/table.h"
#include "proto/acl.h"

#define ACL_POLICIES_FIELDS(X, T) X(T, LIST(acl_policy_stub), items, "Items")
#define ACL_TOKENS_FIELDS(X, T) X(T, LIST(acl_token_stub), items, "Items")
#define ACL_ROLES_FIELDS(X, T) X(T, LIST(acl_role), items, "Items")

OBJECT_DECLARE(acl_policies, ACL_POLICIES_FIELDS);
OBJECT_DECLARE(acl_tokens, ACL_TOKENS_FIELDS);
OBJECT_DECLARE(acl_roles, ACL_ROLES_FIELDS);
OBJECT_DEFINE(acl_policies, ACL_POLICIES_FIELDS);
OBJECT_DEFINE(acl_tokens, ACL_TOKENS_FIELDS);
OBJECT_DEFINE(acl_roles, ACL_ROLES_FIELDS);

enum { FILE_MAX = 1 << 20 };

/* ---- what the commands have in common ---- */

/* A whole file, or standard input for "-". */
static bool read_file(const char *path, struct buf *out)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	char piece[4096];
	size_t n;
	bool failed;

	if (in == NULL) {
		fprintf(stderr, "Error reading %s: %s\n", path, strerror(errno));
		return false;
	}
	while (out->len <= FILE_MAX && (n = fread(piece, 1, sizeof(piece), in)) > 0) {
		buf_put(out, piece, n);
	}
	failed = ferror(in) != 0;
	if (in != stdin) {
		fclose(in);
	}
	if (failed || out->failed || out->len > FILE_MAX) {
		fprintf(stderr, "Error reading %s: %s\n", path, failed ? "it cannot be read" : "it is too large");
		return false;
	}
	return true;
}

static void put_text(struct buf *out, const char *text, size_t len)
{
	json_put_str(out, text, len);
}

/* ,"Policies":["a","b"] of a flag that may be given again; the elements are wrapped by `before` and `after`. */
static void put_given(struct buf *out, const struct args *args, const char *flag, const char *before, const char *after,
		      bool *first)
{
	unsigned i;

	for (i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].name, flag) == 0) {
			buf_printf(out, "%s%s", *first ? "" : ",", before);
			put_text(out, args->given[i].value, strlen(args->given[i].value));
			buf_str(out, after);
			*first = false;
		}
	}
}

static bool is_given(const struct args *args, const char *flag)
{
	return args_get(args, flag, NULL) != NULL;
}

/* Send a body, which it closes. */
static bool send_body(struct client *c, const char *doing, const char *method, struct buf *body)
{
	bool ok = !body->failed && client_ok(c, doing, method, body->at, body->len);

	buf_close(body);
	return ok;
}

/* "[a b]"; "<none>" for an empty list. */
static const char *join(struct arena *mem, const struct strs *list)
{
	const char *text = "";
	uint32_t i;

	for (i = 0; i < list->n && text != NULL; i++) {
		text = arena_printf(mem, "%s%s%s", text, i > 0 ? " " : "", list->at[i]);
	}
	return list->n == 0 || text == NULL ? "" : arena_printf(mem, "[%s]", text);
}

#define FLAG_POLICIES {"policy", "name", "A policy that it has; may be given again."}

/* ---- tokens ---- */

static void show_roles(struct arena *mem, const struct acl_role_link *roles, uint32_t n)
{
	struct table t = {0};
	uint32_t i;

	if (n == 0) {
		printf("\nRoles\n<none>\n");
		return;
	}
	table_row(&t, "ID", "Name");
	for (i = 0; i < n; i++) {
		table_row(&t, format_clean(mem, roles[i].id), roles[i].name);
	}
	printf("\nRoles\n");
	table_print(&t, stdout);
}

static void show_token(struct arena *mem, const struct acl_token *token)
{
	bool manages = strcmp(token->type, "management") == 0;
	struct table t = {0};

	table_row(&t, "Accessor ID", token->accessor_id);
	table_row(&t, "Secret ID", token->secret_id);
	table_row(&t, "Name", token->name);
	table_row(&t, "Type", token->type);
	table_row(&t, "Global", format_bool(token->global));
	table_row(&t, "Create Time", format_time(mem, token->create_time));
	table_row(&t, "Expiry Time", token->expiration_time != 0 ? format_time(mem, token->expiration_time) : "");
	table_row(&t, "Create Index", format_int(mem, token->create_index));
	table_row(&t, "Modify Index", format_int(mem, token->modify_index));
	table_row(&t, "Policies", manages ? "n/a" : join(mem, &token->policies));
	table_print_pairs(&t, stdout);
	if (!manages) {
		show_roles(mem, token->roles.at, token->roles.n);
	}
}

/* Show the token of the last answer. */
static int tell_token(struct client *c, const struct args *args, const char *doing)
{
	struct acl_token token;

	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	if (!client_decode(c, doing, &acl_token_type, &token)) {
		return EXIT_ERROR;
	}
	show_token(c->mem, &token);
	return EXIT_OK;
}

/* A file with the secret that the first token is to have: a word, with space around. */
static bool put_secret(const char *path, struct buf *body)
{
	struct buf text = {0};
	size_t begin;
	size_t len;
	bool ok = read_file(path, &text);

	buf_byte(&text, '\0');
	if (ok && !text.failed) {
		begin = strspn(text.at, " \t\r\n");
		len = strcspn(text.at + begin, " \t\r\n");
		buf_str(body, "{\"BootstrapSecret\":");
		put_text(body, text.at + begin, len);
		buf_byte(body, '}');
	}
	buf_close(&text);
	return ok;
}

static int bootstrap(struct client *c, struct args *args)
{
	struct buf body = {0};

	client_url(c, "/v1/acl/bootstrap");
	if (args->n_rest > 0 && !put_secret(args->rest[0], &body)) {
		buf_close(&body);
		return EXIT_ERROR;
	}
	return send_body(c, "bootstrapping", "PUT", &body) ? tell_token(c, args, "bootstrapping") : EXIT_ERROR;
}

/* What a token is to be like, from the flags; in place of what it was, if `old` is given. */
static void put_token(struct buf *body, const struct args *args, const struct acl_token *old)
{
	const char *name = args_get(args, "name", old != NULL ? old->name : "");
	const char *type = args_get(args, "type", old != NULL ? old->type : "client");
	bool keeps_type = old != NULL && !is_given(args, "type");
	bool keeps_policies = keeps_type && !is_given(args, "policy");
	bool keeps_roles = keeps_type && !is_given(args, "role-id") && !is_given(args, "role-name");
	bool global = old != NULL ? old->global : args_has(args, "global");
	bool first = true;
	uint32_t i;

	buf_byte(body, '{');
	act_put(body, "AccessorID", old != NULL ? old->accessor_id : args_get(args, "accessor", ""));
	buf_byte(body, ',');
	act_put(body, "Name", name);
	buf_byte(body, ',');
	act_put(body, "Type", type);
	buf_printf(body, ",\"Global\":%s,\"Policies\":[", global ? "true" : "false");
	for (i = 0; keeps_policies && i < old->policies.n; i++) {
		buf_str(body, i > 0 ? "," : "");
		put_text(body, old->policies.at[i], strlen(old->policies.at[i]));
	}
	put_given(body, args, "policy", "", "", &first);
	buf_str(body, "],\"Roles\":[");
	for (i = 0; keeps_roles && i < old->roles.n; i++) {
		buf_str(body, i > 0 ? ",{" : "{");
		act_put(body, "ID", old->roles.at[i].id);
		buf_byte(body, '}');
	}
	first = true;
	put_given(body, args, "role-id", "{\"ID\":", "}", &first);
	put_given(body, args, "role-name", "{\"Name\":", "}", &first);
	buf_byte(body, ']');
}

/* The secret of a token with its own IDs comes from a file: arguments may be read by everybody. */
static bool put_own_secret(const struct args *args, struct buf *body)
{
	struct buf text = {0};
	bool ok = read_file(args->rest[0], &text);
	size_t begin;

	buf_byte(&text, '\0');
	if (ok && !text.failed) {
		begin = strspn(text.at, " \t\r\n");
		buf_str(body, ",\"SecretID\":");
		put_text(body, text.at + begin, strcspn(text.at + begin, " \t\r\n"));
	}
	buf_close(&text);
	return ok;
}

static int create_token(struct client *c, struct args *args)
{
	const char *accessor = args_get(args, "accessor", "");
	const char *ttl = args_get(args, "ttl", "");
	struct buf body = {0};

	if ((accessor[0] != '\0') != (args->n_rest > 0)) {
		fprintf(stderr, "Error: -accessor and a file with the secret belong together\n");
		return EXIT_ERROR;
	}
	put_token(&body, args, NULL);
	if (ttl[0] != '\0') {
		buf_byte(&body, ',');
		act_put(&body, "ExpirationTTL", ttl);
	}
	if (accessor[0] == '\0') {
		client_url(c, "/v1/acl/token");
	} else {
		client_url(c, "/v1/acl/token/%s", client_escape(c, accessor));
		if (!put_own_secret(args, &body)) {
			buf_close(&body);
			return EXIT_ERROR;
		}
	}
	buf_byte(&body, '}');
	return send_body(c, "creating token", "PUT", &body) ? tell_token(c, args, "creating token") : EXIT_ERROR;
}

static int update_token(struct client *c, struct args *args)
{
	struct buf body = {0};
	struct acl_token old;

	client_url(c, "/v1/acl/token/%s", client_escape(c, args->rest[0]));
	if (!client_read(c, "fetching token", &acl_token_type, &old)) {
		return EXIT_ERROR;
	}
	put_token(&body, args, &old);
	buf_byte(&body, '}');
	client_url(c, "/v1/acl/token/%s", client_escape(c, args->rest[0]));
	return send_body(c, "updating token", "PUT", &body) ? tell_token(c, args, "updating token") : EXIT_ERROR;
}

static int delete_token(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/token/%s", client_escape(c, args->rest[0]));
	if (!client_ok(c, "deleting token", "DELETE", NULL, 0)) {
		return EXIT_ERROR;
	}
	printf("Token %s successfully deleted!\n", args->rest[0]);
	return EXIT_OK;
}

static int token_info(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/token/%s", client_escape(c, args->rest[0]));
	return client_ok(c, "fetching token", "GET", NULL, 0) ? tell_token(c, args, "fetching token") : EXIT_ERROR;
}

static int token_self(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/token/self");
	return client_ok(c, "fetching token", "GET", NULL, 0) ? tell_token(c, args, "fetching token") : EXIT_ERROR;
}

static int list_tokens(struct client *c, struct args *args)
{
	struct table t = {0};
	struct acl_tokens list;
	uint32_t i;

	client_url(c, "/v1/acl/tokens");
	if (!client_read_list(c, "listing tokens", &acl_tokens_type, &list)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	table_row(&t, "Name", "Type", "Global", "Accessor ID", "Expired");
	for (i = 0; i < list.items.n; i++) {
		const struct acl_token_stub *s = &list.items.at[i];
		bool expired = s->expiration_time != 0 && s->expiration_time <= format_now();

		table_row(&t, s->name, s->type, format_bool(s->global), s->accessor_id, format_bool(expired));
	}
	table_print(&t, stdout);
	return EXIT_OK;
}

/* ---- policies ---- */

static int apply_policy(struct client *c, struct args *args)
{
	const char *name = args->rest[0];
	struct buf rules = {0};
	struct buf body = {0};

	if (!read_file(args->rest[1], &rules)) {
		buf_close(&rules);
		return EXIT_ERROR;
	}
	buf_byte(&body, '{');
	act_put(&body, "Name", name);
	buf_byte(&body, ',');
	act_put(&body, "Description", args_get(args, "description", ""));
	buf_str(&body, ",\"Rules\":");
	put_text(&body, rules.at != NULL ? rules.at : "", rules.len);
	if (is_given(args, "job")) {
		buf_str(&body, ",\"JobACL\":{");
		act_put(&body, "Namespace", args_get(args, "namespace", "default"));
		buf_byte(&body, ',');
		act_put(&body, "JobID", args_get(args, "job", ""));
		buf_byte(&body, ',');
		act_put(&body, "Group", args_get(args, "group", ""));
		buf_byte(&body, ',');
		act_put(&body, "Task", args_get(args, "task", ""));
		buf_byte(&body, '}');
	}
	buf_byte(&body, '}');
	buf_close(&rules);
	client_url(c, "/v1/acl/policy/%s", client_escape(c, name));
	if (!send_body(c, "writing ACL policy", "PUT", &body)) {
		return EXIT_ERROR;
	}
	printf("Successfully wrote \"%s\" ACL policy!\n", name);
	return EXIT_OK;
}

static int delete_policy(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/policy/%s", client_escape(c, args->rest[0]));
	if (!client_ok(c, "deleting ACL policy", "DELETE", NULL, 0)) {
		return EXIT_ERROR;
	}
	printf("Successfully deleted %s policy!\n", args->rest[0]);
	return EXIT_OK;
}

static int policy_info(struct client *c, struct args *args)
{
	struct acl_policy p;
	struct table t = {0};

	client_url(c, "/v1/acl/policy/%s", client_escape(c, args->rest[0]));
	if (!client_read(c, "fetching policy", &acl_policy_type, &p)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	table_row(&t, "Name", p.name);
	table_row(&t, "Description", p.description);
	table_row(&t, "CreateIndex", format_int(c->mem, p.create_index));
	table_row(&t, "ModifyIndex", format_int(c->mem, p.modify_index));
	if (p.job_acl != NULL) {
		table_row(&t, "Namespace", p.job_acl->namespace_);
		table_row(&t, "JobID", p.job_acl->job_id);
		table_row(&t, "Group", p.job_acl->group);
		table_row(&t, "Task", p.job_acl->task);
	}
	table_print_pairs(&t, stdout);
	printf("\nRules\n\n");
	fputs(p.rules, stdout);
	putchar('\n');
	return EXIT_OK;
}

static int show_policies(struct client *c, const struct args *args)
{
	struct acl_policies list;
	struct table t = {0};
	uint32_t i;

	if (!client_read_list(c, "listing policies", &acl_policies_type, &list)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	table_row(&t, "Name", "Description");
	for (i = 0; i < list.items.n; i++) {
		table_row(&t, list.items.at[i].name, list.items.at[i].description);
	}
	table_print(&t, stdout);
	return EXIT_OK;
}

static int list_policies(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/policies");
	return show_policies(c, args);
}

static int policy_self(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/policy/self");
	return show_policies(c, args);
}

/* ---- roles ---- */

static const char *policies_of(struct arena *mem, const struct acl_role *role)
{
	struct strs names = {arena_calloc(mem, role->policies.n + 1, sizeof(char *)), 0};
	uint32_t i;

	for (i = 0; names.at != NULL && i < role->policies.n; i++) {
		names.at[names.n++] = role->policies.at[i].name;
	}
	return join(mem, &names);
}

/* Show the role of the last answer. */
static int tell_role(struct client *c, const struct args *args, const char *doing)
{
	struct table t = {0};
	struct acl_role role;

	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	if (!client_decode(c, doing, &acl_role_type, &role)) {
		return EXIT_ERROR;
	}
	table_row(&t, "ID", role.id);
	table_row(&t, "Name", role.name);
	table_row(&t, "Description", role.description);
	table_row(&t, "Policies", policies_of(c->mem, &role));
	table_row(&t, "Create Index", format_int(c->mem, role.create_index));
	table_row(&t, "Modify Index", format_int(c->mem, role.modify_index));
	table_print_pairs(&t, stdout);
	return EXIT_OK;
}

static void put_role(struct buf *body, const struct args *args, const struct acl_role *old)
{
	bool keeps = old != NULL && !args_has(args, "no-merge");
	bool first = true;
	uint32_t i;

	buf_byte(body, '{');
	act_put(body, "ID", old != NULL ? old->id : "");
	buf_byte(body, ',');
	act_put(body, "Name", args_get(args, "name", keeps ? old->name : ""));
	buf_byte(body, ',');
	act_put(body, "Description", args_get(args, "description", keeps ? old->description : ""));
	buf_str(body, ",\"Policies\":[");
	for (i = 0; keeps && i < old->policies.n; i++) {
		buf_str(body, first ? "{" : ",{");
		act_put(body, "Name", old->policies.at[i].name);
		buf_byte(body, '}');
		first = false;
	}
	put_given(body, args, "policy", "{\"Name\":", "}", &first);
	buf_str(body, "]}");
}

static int create_role(struct client *c, struct args *args)
{
	struct buf body = {0};

	put_role(&body, args, NULL);
	client_url(c, "/v1/acl/role");
	return send_body(c, "creating ACL role", "PUT", &body) ? tell_role(c, args, "creating ACL role") : EXIT_ERROR;
}

static int update_role(struct client *c, struct args *args)
{
	struct buf body = {0};
	struct acl_role old;

	client_url(c, "/v1/acl/role/%s", client_escape(c, args->rest[0]));
	if (!client_read(c, "reading ACL role", &acl_role_type, &old)) {
		return EXIT_ERROR;
	}
	put_role(&body, args, &old);
	client_url(c, "/v1/acl/role/%s", client_escape(c, args->rest[0]));
	return send_body(c, "updating ACL role", "PUT", &body) ? tell_role(c, args, "updating ACL role") : EXIT_ERROR;
}

static int delete_role(struct client *c, struct args *args)
{
	client_url(c, "/v1/acl/role/%s", client_escape(c, args->rest[0]));
	if (!client_ok(c, "deleting ACL role", "DELETE", NULL, 0)) {
		return EXIT_ERROR;
	}
	printf("ACL role %s successfully deleted\n", args->rest[0]);
	return EXIT_OK;
}

static int role_info(struct client *c, struct args *args)
{
	client_url(c, args_has(args, "by-name") ? "/v1/acl/role/name/%s" : "/v1/acl/role/%s",
		   client_escape(c, args->rest[0]));
	return client_ok(c, "reading ACL role", "GET", NULL, 0) ? tell_role(c, args, "reading ACL role") : EXIT_ERROR;
}

static int list_roles(struct client *c, struct args *args)
{
	struct acl_roles list;
	struct table t = {0};
	uint32_t i;

	client_url(c, "/v1/acl/roles");
	if (!client_read_list(c, "listing ACL roles", &acl_roles_type, &list)) {
		return EXIT_ERROR;
	}
	if (args_has(args, "json")) {
		show_json(c);
		return EXIT_OK;
	}
	table_row(&t, "ID", "Name", "Description", "Policies");
	for (i = 0; i < list.items.n; i++) {
		const struct acl_role *r = &list.items.at[i];

		table_row(&t, r->id, r->name, r->description, policies_of(c->mem, r));
	}
	table_print(&t, stdout);
	return EXIT_OK;
}

/* ---- the commands ---- */

static const struct flag json_flags[] = {ACT_FLAG_JSON, ACT_FLAG_END};

#define TOKEN_FLAGS                                                                                                    \
	ACT_FLAG_JSON, {"name", "text", "What people call it."},                                                       \
		{"type", "type", "client, which is the default of a new one, or management."}, FLAG_POLICIES,          \
		{"role-id", "id", "A role that it has; may be given again."},                                          \
	{                                                                                                              \
		"role-name", "name", "The same by its name."                                                           \
	}

static const struct flag create_token_flags[] = {
	TOKEN_FLAGS,
	{"global", NULL, "The token is good in all regions."},
	{"ttl", "duration", "It ends so long from now: 1h."},
	{"accessor", "uuid", "Its AccessorID; the file then has its secret."},
	ACT_FLAG_END};
static const struct flag update_token_flags[] = {TOKEN_FLAGS, ACT_FLAG_END};
static const struct flag apply_flags[] = {
	{"description", "text", "What it is for."},
	{"job", "id", "Grant it to templates of this job of -namespace;"},
	{"group", "name", "to those of this group of it;"},
	{"task", "name", "to those of this task of that."},
	ACT_FLAG_END};
static const struct flag role_flags[] = {
	ACT_FLAG_JSON,
	{"name", "name", "Its name."},
	{"description", "text", "What it is for."},
	FLAG_POLICIES,
	ACT_FLAG_END};
static const struct flag update_role_flags[] = {
	ACT_FLAG_JSON,
	{"name", "name", "Its new name."},
	{"description", "text", "What it is for."},
	FLAG_POLICIES,
	{"no-merge", NULL, "What is not given is nothing, rather than what it was; else policies are added."},
	ACT_FLAG_END};
static const struct flag role_info_flags[] = {
	ACT_FLAG_JSON, {"by-name", NULL, "The argument is its name."}, ACT_FLAG_END};

#define ACL_COMMANDS(X)                                                                                                \
	X(acl_bootstrap, "acl bootstrap", "[options] [FILE]",                                                          \
	  "Make the first token; FILE (or -) holds the secret that it is to have", json_flags, 0, 1, bootstrap)        \
	X(acl_policy_apply, "acl policy apply", "[options] NAME FILE", "Write a policy; its rules are in FILE, or -",  \
	  apply_flags, 2, 2, apply_policy)                                                                             \
	X(acl_policy_delete, "acl policy delete", "[options] NAME", "Remove a policy", NULL, 1, 1, delete_policy)      \
	X(acl_policy_info, "acl policy info", "[options] NAME", "Show a policy", json_flags, 1, 1, policy_info)        \
	X(acl_policy_list, "acl policy list", "[options]", "List policies", json_flags, 0, 0, list_policies)           \
	X(acl_policy_self, "acl policy self", "[options]", "List the policies of the own token", json_flags, 0, 0,     \
	  policy_self)                                                                                                 \
	X(acl_role_create, "acl role create", "[options]", "Make a role", role_flags, 0, 0, create_role)               \
	X(acl_role_delete, "acl role delete", "[options] ID", "Remove a role", NULL, 1, 1, delete_role)                \
	X(acl_role_info, "acl role info", "[options] ID", "Show a role", role_info_flags, 1, 1, role_info)             \
	X(acl_role_list, "acl role list", "[options]", "List roles", json_flags, 0, 0, list_roles)                     \
	X(acl_role_update, "acl role update", "[options] ID", "Change a role", update_role_flags, 1, 1, update_role)   \
	X(acl_token_create, "acl token create", "[options] [FILE]", "Make a token", create_token_flags, 0, 1,          \
	  create_token)                                                                                                \
	X(acl_token_delete, "acl token delete", "[options] ACCESSOR", "Remove a token", NULL, 1, 1, delete_token)      \
	X(acl_token_info, "acl token info", "[options] ACCESSOR", "Show a token", json_flags, 1, 1, token_info)        \
	X(acl_token_list, "acl token list", "[options]", "List tokens", json_flags, 0, 0, list_tokens)                 \
	X(acl_token_self, "acl token self", "[options]", "Show the own token", json_flags, 0, 0, token_self)           \
	X(acl_token_update, "acl token update", "[options] ACCESSOR",                                                  \
	  "Change a token: what is given takes the place of what it was", update_token_flags, 1, 1, update_token)

#define X(id, words, takes, what, options, least, most, function)                                                      \
	CLIENT_RUN(function)                                                                                           \
	const struct command command_##id = {.name = words,                                                            \
					     .usage = takes,                                                           \
					     .summary = what,                                                          \
					     .flags = options,                                                         \
					     .api = true,                                                              \
					     .min = least,                                                             \
					     .max = most,                                                              \
					     .run = run_##function};
ACL_COMMANDS(X)
#undef X
