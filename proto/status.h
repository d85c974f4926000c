/**
 * Status fields: a short text in the API, a small number in rows.
 *
 * A list names each value once:
 *
 *     #define JOB_STATUS_LIST(X) X(PENDING, "pending") X(RUNNING, "running") X(DEAD, "dead")
 *     #define JOB_STATUS_ENUM(id, text) JOB_STATUS_##id,
 *
 * STATUS_DECLARE(job_status, JOB_STATUS, JOB_STATUS_LIST) in a header makes `enum job_status` with
 * JOB_STATUS_PENDING and so on, and JOB_STATUS_COUNT; STATUS_DEFINE(job_status, JOB_STATUS_LIST) in one source file
 * makes job_status_text() and job_status_parse(). The numbers are stored: only append.
 */
#ifndef PROTO_STATUS_H_
#define PROTO_STATUS_H_

#include <stddef.h>

/* xxx_text() of an unknown number is "", xxx_parse() of an unknown text is -1. */
#define STATUS_DECLARE(name, NAME, LIST)        \
	enum name { LIST(NAME##_ENUM) NAME##_COUNT }; \
	const char *name##_text(int status);    \
	int name##_parse(const char *text)

#define STATUS_TEXT(id, text) text,
#define STATUS_DEFINE(name, LIST)                                                             \
	static const char *const name##_texts[] = {LIST(STATUS_TEXT)};                        \
	const char *name##_text(int status)                                                   \
	{                                                                                     \
		return status_text(name##_texts, sizeof(name##_texts) / sizeof(char *), status); \
	}                                                                                     \
	int name##_parse(const char *text)                                                    \
	{                                                                                     \
		return status_parse(name##_texts, sizeof(name##_texts) / sizeof(char *), text); \
	}                                                                                     \
	struct name##_needs_a_semicolon

/* What the made functions call. */
const char *status_text(const char *const *texts, size_t n, int status);
int status_parse(const char *const *texts, size_t n, const char *text);

#endif /* PROTO_STATUS_H_ */
