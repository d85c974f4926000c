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
 * What would ask somebody outside of the task (nomadVar, nomadService, key, secret) is refused with the reason.
 * Everything else is an error that names it, so a template that needs more never goes out half rendered.
 */
#ifndef CLIENT_TEMPLATE_H_
#define CLIENT_TEMPLATE_H_

#include "client/taskenv.h"
#include "lib/buf.h"

enum { TEMPLATE_WHY = 192 };

/* Append the rendered text. `left` and `right` are the delimiters, "" for the usual ones. 0, ERR_NOMEM, or ERR_INVALID
 * with what is wrong in `why`; then `out` holds nothing of use. */
int template_render(const char *text, size_t len, const char *left, const char *right, const struct task_env *env,
                    struct buf *out, char why[TEMPLATE_WHY]);

/* The variables of a rendered file of lines KEY=value, as `env = true` asks: comments and empty lines are skipped,
 * values may be quoted. Keys and values in memory of `mem`. 0, ERR_NOMEM, or ERR_INVALID with the line in `why`. */
int template_variables(const char *text, size_t len, struct map *out, struct arena *mem, char why[TEMPLATE_WHY]);

#endif /* CLIENT_TEMPLATE_H_ */
