#include "cli/jobfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/answers.h"
#include "proto/error.h"
#include "proto/hcl.h"

extern char **environ;

/* ---- texts ---- */

static bool read_stream(FILE *in, struct buf *text)
{
	char part[65536];
	size_t n;

	while ((n = fread(part, 1, sizeof(part), in)) > 0) {
		buf_put(text, part, n);
	}
	return ferror(in) == 0 && !text->failed;
}

/* The file's text; "-" is standard input. */
static bool read_file(const char *path, struct buf *text)
{
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	bool good = in != NULL && read_stream(in, text);

	if (!good) {
		fprintf(stderr, "Error getting job struct: %s: %s\n", path, strerror(errno));
	}
	if (in != NULL && in != stdin) {
		fclose(in);
	}
	buf_text(text);
	return good;
}

static bool is_json(const struct args *args, const char *path, const char *text)
{
	size_t n = strlen(path);

	return args_has(args, "json") || (n > 5 && strcmp(path + n - 5, ".json") == 0) ||
	       text[strspn(text, " \t\r\n")] == '{';
}

/* ---- variables ---- */

/* Give a variable its value, in the place of an earlier one. */
static bool set_variable(struct arena *mem, struct hcl_body *body, const char *name, struct hcl_expr *value)
{
	struct hcl_item **at = &body->first;

	while (*at != NULL && strcmp((*at)->name, name) != 0) {
		at = &(*at)->next;
	}
	if (*at == NULL) {
		*at = arena_calloc(mem, 1, sizeof(**at));
		body->n++;
	}
	if (*at == NULL) {
		return false;
	}
	(*at)->name = name;
	(*at)->value = value;
	return true;
}

/* NAME=VALUE, whose value is a text. */
static bool set_text(struct arena *mem, struct hcl_body *body, const char *given)
{
	size_t n = strcspn(given, "=");
	char *name = arena_strndup(mem, given, n);
	struct hcl_expr *e = arena_calloc(mem, 1, sizeof(*e));

	if (name == NULL || e == NULL) {
		return false;
	}
	e->kind = EXPR_LITERAL;
	e->value = (struct hcl_value){.kind = HCL_STRING, .string = given + n + (given[n] == '=')};
	return set_variable(mem, body, name, e);
}

static bool set_from_file(struct arena *mem, struct hcl_body *body, const char *path)
{
	struct buf text = {0};
	struct hcl_error error = {{1, 1}, ""};
	struct hcl_body *file = NULL;
	const struct hcl_item *item;
	int rv = ERR_IO;

	if (read_file(path, &text)) {
		rv = hcl_parse(text.at, text.len, mem, &file, &error);
		if (rv != 0) {
			fprintf(stderr, "Error getting job struct: %s:%u,%u: %s\n", path, error.pos.line,
				error.pos.column, error.text);
		}
	}
	buf_close(&text);
	for (item = rv == 0 ? file->first : NULL; item != NULL && rv == 0; item = item->next) {
		if (item->value == NULL) {
			fprintf(stderr, "Error getting job struct: %s:%u,%u: a file of variables has no blocks\n", path,
				item->pos.line, item->pos.column);
			return false;
		}
		rv = set_variable(mem, body, item->name, item->value) ? 0 : ERR_NOMEM;
	}
	return rv == 0;
}

static bool set_from_environment(struct arena *mem, struct hcl_body *body)
{
	static const char prefix[] = "NOMAD_VAR_";
	char **e;

	for (e = environ; *e != NULL; e++) {
		if (strncmp(*e, prefix, sizeof(prefix) - 1) == 0 && !set_text(mem, body, *e + sizeof(prefix) - 1)) {
			return false;
		}
	}
	return true;
}

/* The environment's, then those of files, then those of the command line: what comes later goes before. Values of the
 * first and the last are texts, which the server reads as what the variable's type says. */
static bool gather_variables(struct arena *mem, const struct args *args, struct hcl_body *body)
{
	unsigned i;

	if (!set_from_environment(mem, body)) {
		return false;
	}
	for (i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].name, "var-file") == 0 && !set_from_file(mem, body, args->given[i].value)) {
			return false;
		}
	}
	for (i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].name, "var") == 0 && !set_text(mem, body, args->given[i].value)) {
			return false;
		}
	}
	return true;
}

static const char *variables_text(struct arena *mem, const struct args *args)
{
	struct hcl_body body = {0};
	struct buf text = {0};
	const char *copy = NULL;

	if (gather_variables(mem, args, &body)) {
		hcl_print(&body, &text);
		copy = text.failed ? NULL : arena_strdup(mem, buf_text(&text));
	}
	buf_close(&text);
	return copy;
}

/* ---- jobs ---- */

/* HCL goes through the server, which answers with the job as JSON. What the file leaves open stays open: the server
 * completes the job when it is registered. */
static const char *parse_hcl(struct client *c, const struct jobfile *f)
{
	struct buf body = {0};
	struct job_source source;
	const char *job = NULL;

	object_init(&job_source_type, &source);
	source.hcl = f->text.at;
	source.variables = f->variables;
	json_encode(&job_source_type, &source, &body);
	client_url(c, "/v1/jobs/parse");
	if (client_send(c, "POST", buf_text(&body), body.len) == 0 &&
	    (c->status == 404 || c->status == 405 || c->status == 501)) {
		fprintf(stderr, "Error getting job struct: this server does not parse HCL: give the job as JSON\n");
	} else if (client_ok(c, "getting job struct", "POST", buf_text(&body), body.len)) {
		job = arena_strndup(c->mem, buf_text(&c->body), c->body.len);
	}
	buf_close(&body);
	return job;
}

/* The outer object may be the job itself, or have it as "Job". */
static const char *parse_json(struct client *c, const struct buf *text)
{
	struct fault fault = {"", ""};
	struct job_file file;

	if (json_decode(&job_file_type, &file, text->at, text->len, c->mem, &fault) != 0) {
		fprintf(stderr, "Error getting job struct: %s %s\n", fault.path, fault.why);
		return NULL;
	}
	return file.job[0] == '{' ? file.job : arena_strndup(c->mem, text->at, text->len);
}

static bool decode_job(struct client *c, struct jobfile *f)
{
	struct fault fault = {"", ""};
	const struct job *job = &f->decoded;

	if (json_decode(&job_type, &f->decoded, f->job, strlen(f->job), c->mem, &fault) != 0) {
		fprintf(stderr, "Error getting job struct: %s %s\n", fault.path, fault.why);
		return false;
	}
	if (str_given(&job_type, job, &job->namespace_) && job->namespace_[0] != '\0') {
		c->namespace_ = job->namespace_;
	}
	if (str_given(&job_type, job, &job->region) && job->region[0] != '\0') {
		c->region = job->region;
	}
	return true;
}

bool jobfile_read(struct client *c, const struct args *args, struct jobfile *f)
{
	memset(f, 0, sizeof(*f));
	f->variables = "";
	if (!read_file(args->rest[0], &f->text)) {
		return false;
	}
	f->json = is_json(args, args->rest[0], f->text.at);
	if (f->json) {
		f->job = parse_json(c, &f->text);
	} else {
		f->variables = variables_text(c->mem, args);
		f->job = f->variables != NULL ? parse_hcl(c, f) : NULL;
	}
	return f->job != NULL && decode_job(c, f);
}

void jobfile_close(struct jobfile *f)
{
	buf_close(&f->text);
}
