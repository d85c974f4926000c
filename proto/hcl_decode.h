/**
 * Objects from HCL bodies, by their field tables.
 *
 * An attribute or a block goes to the field whose `hcl` name it has; what stands for a block's label goes to the field
 * marked `label`. One block makes an OBJ, repeated ones a LIST or an OBJMAP; maps and ANY are taken from an attribute
 * or from a block. From JSON, where all is attributes, objects are taken for blocks, with their keys for labels.
 *
 * The object is not initialized here: what is given is laid over what is there. Scalars replace, lists of strings
 * grow, maps and nested objects are merged, and a block whose label is there already is laid over that element. So
 * several files make one object by being decoded one after the other.
 */
#ifndef PROTO_HCL_DECODE_H_
#define PROTO_HCL_DECODE_H_

#include "proto/hcl_eval.h"
#include "proto/object.h"

enum {
	HCL_MAX_NOTES = 100,       /* Further ones are only counted. */
	HCL_MAX_ELEMENTS = 4096,   /* Of a LIST or an OBJMAP. */
	HCL_MAX_DECODE = 64 << 20, /* Bytes of memory, after which no further expression is evaluated. */
};

/* A word about a place in a text. */
struct hcl_note {
	struct hcl_note *next;
	bool error; /* Else a warning. */
	const char *file;
	struct hcl_pos pos;
	const char *text; /* "ports.http must be 1 to 65535". */
};

/* Where a scalar was given. */
struct hcl_place {
	struct hcl_place *next;
	const char *path; /* "server.enabled". */
	const char *file;
	struct hcl_pos pos;
};

/* What decoding found. All zero but for `mem` to begin with. */
struct hcl_report {
	struct arena *mem; /* Notes and places. */
	const char *file;  /* The text that is being decoded; a caller changes it from one file to the next. */
	bool strict;       /* Unknown names are errors, and so is a label that is given twice. */
	struct hcl_note *first;
	struct hcl_note *last;
	unsigned n; /* Kept. */
	unsigned errors;
	unsigned warnings;
	struct hcl_place *places; /* Newest first. */
};

/* `body` is laid over `obj`, which has been initialized. What the object gets is in `mem`. Every fault is noted and
 * the rest decoded all the same. 0, ERR_NOMEM, or ERR_INVALID when errors were noted. */
int hcl_decode(const struct type *t, void *obj, const struct hcl_body *body, const struct hcl_scope *scope,
	       struct arena *mem, struct hcl_report *report);

/* Note something, in report->file. */
void hcl_report_add(struct hcl_report *r, bool error, struct hcl_pos pos, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Note something about the member of that path, where it was given last, or nowhere if it was not. */
void hcl_report_about(struct hcl_report *r, bool error, const char *path, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Where that member was given last; NULL if nowhere. */
const struct hcl_place *hcl_report_place(const struct hcl_report *r, const char *path);

/* "agent.hcl:12,5: error: ports.http must be 1 to 65535", a line each. */
void hcl_report_print(const struct hcl_report *r, struct buf *out);

/* "512", "10k", "10KB" (thousands), "10KiB" (1024s) ... in bytes; false if it is anything else or too large. */
bool hcl_size_parse(const char *text, int64_t *bytes);

#endif /* PROTO_HCL_DECODE_H_ */
