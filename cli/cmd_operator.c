#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"

/* The value of -d: itself, or with "@" a file's text, of "@-" standard input's. */
static bool read_data(const char *value, struct buf *out)
{
	FILE *in;
	char part[65536];
	size_t n;

	if (value[0] != '@') {
		buf_str(out, value);
		return true;
	}
	in = strcmp(value, "@-") == 0 ? stdin : fopen(value + 1, "r");
	if (in == NULL) {
		fprintf(stderr, "Error: %s cannot be read\n", value + 1);
		return false;
	}
	while ((n = fread(part, 1, sizeof(part), in)) > 0) {
		buf_put(out, part, n);
	}
	if (in != stdin) {
		fclose(in);
	}
	return !out->failed;
}

static bool add_headers(struct client *c, const struct args *args)
{
	unsigned i;

	for (i = 0; i < args->n_given; i++) {
		if (strcmp(args->given[i].name, "H") == 0) {
			struct curl_slist *longer = curl_slist_append(c->headers, args->given[i].value);

			if (longer == NULL) {
				return false;
			}
			c->headers = longer;
		}
	}
	return true;
}

/* The path as it is given, with the query that may be in it. */
static void set_path(struct client *c, const char *path)
{
	const char *rest = strstr(path, "://") != NULL ? strchr(strstr(path, "://") + 3, '/') : path;

	rest = rest != NULL ? rest : "/";
	client_url(c, "%s%s", rest[0] == '/' ? "" : "/", rest);
}

static int call(struct client *c, const struct args *args)
{
	const char *data = args_get(args, "d", NULL);
	const char *method = args_get(args, "X", data != NULL ? "PUT" : "GET");
	struct buf body = {0};
	int code = EXIT_ERROR;

	if ((data == NULL || read_data(data, &body)) && add_headers(c, args)) {
		set_path(c, args->rest[0]);
		if (args_has(args, "verbose")) {
			fprintf(stderr, "> %s %s\n", method, buf_text(&c->url));
		}
		c->stream = stdout;
		if (client_send(c, method, data != NULL ? buf_text(&body) : NULL, body.len) != 0) {
			fprintf(stderr, "Error performing request: %s\n", c->error);
		} else {
			code = c->status < 400 ? EXIT_OK : EXIT_ERROR;
			fwrite(buf_text(&c->body), 1, c->body.len, stdout);
			if (args_has(args, "verbose")) {
				fprintf(stderr, "< %ld\n", c->status);
			}
		}
	}
	buf_close(&body);
	return code;
}

static int run(struct args *args)
{
	struct client c;
	int code;

	if (!client_init(&c, args)) {
		return EXIT_ERROR;
	}
	code = call(&c, args);
	client_close(&c);
	return code;
}

static const struct flag flags[] = {{"X", "method", "The method; GET by default, PUT if there is data."},
				    {"H", "header", "A header, \"Name: value\"; may be repeated."},
				    {"d", "data", "The request's body; @FILE is a file's text, @- standard input's."},
				    {"verbose", NULL, "Tell request and status on standard error."},
				    {NULL, NULL, NULL}};

const struct command command_operator_api = {
	.name = "operator api",
	.usage = "[options] PATH",
	.summary = "Send a request to the HTTP API and print the answer",
	.details =
		"Address, token, namespace and region are put in as for any other command. The exit code is 1 if the "
		"status is 400 or more.",
	.flags = flags,
	.api = true,
	.min = 1,
	.max = 1,
	.run = run,
};
