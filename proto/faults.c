#include "proto/faults.h"

/* Begin an item; false when there is no more room for its text. */
static bool add(struct faults *f)
{
	f->n++;
	if (f->body.len >= FAULTS_TEXT_MAX) {
		return false;
	}
	buf_str(&f->body, f->warnings ? "\n* " : "\n\t* ");
	return true;
}

void faults_add(struct faults *f, const char *format, ...)
{
	va_list args;

	if (add(f)) {
		va_start(args, format);
		buf_vprintf(&f->body, format, args);
		va_end(args);
	}
}

void faults_nest(struct faults *f, struct faults *inner, const char *format, ...)
{
	va_list args;

	if (inner->n > 0 && add(f)) {
		va_start(args, format);
		buf_vprintf(&f->body, format, args);
		va_end(args);
		buf_put(&f->body, ": ", 2);
		faults_text(inner, &f->body);
	}
	faults_close(inner);
}

void faults_inline(struct faults *f, struct faults *inner)
{
	if (inner->n > 0 && add(f)) {
		faults_text(inner, &f->body);
	}
	faults_close(inner);
}

void faults_text(const struct faults *f, struct buf *out)
{
	if (f->n == 0) {
		return;
	}
	if (f->warnings) {
		buf_printf(out, f->n == 1 ? "%u warning:\n" : "%u warnings:\n", f->n);
	} else {
		buf_printf(out, f->n == 1 ? "%u error occurred:" : "%u errors occurred:", f->n);
	}
	buf_put(out, f->body.at, f->body.len);
	if (!f->warnings) {
		buf_put(out, "\n\n", 2);
	}
}

void faults_close(struct faults *f)
{
	buf_close(&f->body);
	*f = (struct faults){0};
}
