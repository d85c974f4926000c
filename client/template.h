/**
 * Templates of a task: text with {{ actions }}, rendered from the task's environment.
 *
 * What is known of Go's template language, with the functions that job files use:
 *
 *     {{ env "NAME" }}                a variable of the task, "" if there is none
 *     {{ a | f }}, {{ f a }}, (a)     functions: see the list in template_func.c
 *     {{ $x := a }}, {{ $x = a }}     variables
 *     {{ if a }} {{ else if b }} {{ else }} {{ end }}
 *     {{ with a }} {{ else }} {{ end }}
 *     {{ range $i, $v := a }} {{ break }} {{ continue }} {{ else }} {{ end }}
 *     {{ .Name.Name }}                fields of a map, as parseJSON makes them
 *     {{/ * comment * /}}               nothing (without the blanks)
 *     {{- a -}}                       without the space before and behind
 *
 * What asks the cluster, with what it is asked for collected on the way:
 *
 *     nomadVar "PATH", nomadVarExists "PATH", nomadVarList "PREFIX", nomadVarListSafe "PREFIX"
 *     nomadService "NAME", nomadService N "KEY" "NAME", nomadServices
 *
 * A rendering knows what it is given (struct template_data) and notes what it wants. If something that it wants is not
 * known, or a variable is not there, all that comes out is no good: the caller gets what is wanted and renders again.
 *
 * What would ask others (key, secret) is refused with the reason. Everything else is an error that names it, so a
 * template that needs more never goes out half rendered.
 */
#ifndef CLIENT_TEMPLATE_H_
#define CLIENT_TEMPLATE_H_

#include "client/taskenv.h"
#include "lib/buf.h"

enum {
	TEMPLATE_WHY = 192,
	TEMPLATE_WANTS_MAX = 128, /* Of all templates of a task. */
};

/* The cluster's answer to a GET of the API. */
struct template_answer {
	const char *target; /* Path and query. */
	int status;
	const char *body;
	size_t len;
};

struct template_want {
	const char *target;
	const char *name; /* For people: "nomad.var.block(nomad/jobs/web@default.global)". */
	bool missing;     /* There is no answer, or nothing there. */
};

/* What templates of a task ask the cluster. */
struct template_data {
	const struct template_answer *known;
	uint32_t n_known;
	const char *namespace_; /* The task's: it may read variables of this one only. */
	const char *region;
	const char *workload; /* "ALLOC/TASK", for servers that look at who asks; NULL: they do not. */
	/* Filled, each target once; in memory of `mem`. */
	struct arena *mem;
	struct template_want wants[TEMPLATE_WANTS_MAX];
	uint32_t n_wants;
};

struct template_args {
	const char *left, *right; /* The delimiters; "" for the usual ones. */
	const struct task_env *env;
	struct template_data *data;  /* NULL: the cluster cannot be asked. */
	bool error_on_missing_key;
};

/* Append the rendered text. 0; ERR_NOMEM; ERR_BUSY: something is missing, see data->wants; or ERR_INVALID with what is
 * wrong in `why`. After an error `out` holds nothing of use. */
int template_render(const char *text, size_t len, const struct template_args *args, struct buf *out,
                    char why[TEMPLATE_WHY]);

/* The variables of a rendered file of lines KEY=value, as `env = true` asks: comments and empty lines are skipped,
 * values may be quoted. Keys and values in memory of `mem`. 0, ERR_NOMEM, or ERR_INVALID with the line in `why`. */
int template_variables(const char *text, size_t len, struct map *out, struct arena *mem, char why[TEMPLATE_WHY]);

#endif /* CLIENT_TEMPLATE_H_ */
