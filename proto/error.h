/** The one list of error codes. Functions return 0 or one of these, negative. */
#ifndef PROTO_ERROR_H_
#define PROTO_ERROR_H_

#define ERROR_LIST(X)                                                                       \
	X(NOMEM, -1, "out of memory")                                                       \
	X(SYNTAX, -2, "malformed input")                                                    \
	X(TYPE, -3, "a value of the wrong type")                                            \
	X(RANGE, -4, "a value out of range")                                                \
	X(NOTFOUND, -5, "not found")                                                        \
	X(EXISTS, -6, "exists already")                                                     \
	X(CONFLICT, -7, "conflicts with the present state")                                 \
	X(INVALID, -8, "invalid")                                                           \
	X(NOTLEADER, -9, "not the leader")                                                  \
	X(NOLEADER, -10, "No cluster leader")                                               \
	X(UNKNOWN, -11, "the outcome is unknown: the write may or may not have taken place") \
	X(BUSY, -12, "too many requests")                                                   \
	X(NOSPACE, -13, "disk full")                                                        \
	X(IO, -14, "input/output error")                                                    \
	X(CORRUPT, -15, "corrupt data")                                                     \
	X(TIMEOUT, -16, "timed out")                                                        \
	X(CLOSED, -17, "closed")                                                            \
	X(REFUSED, -18, "refused")                                                          \
	X(TOOBIG, -19, "too large")                                                         \
	X(UNSUPPORTED, -20, "not supported")                                                \
	X(DENIED, -21, "Permission denied")

enum {
#define X(name, code, text) ERR_##name = code,
	ERROR_LIST(X)
#undef X
};

/* A static text; "unknown error" for other codes. */
const char *error_text(int code);

#endif /* PROTO_ERROR_H_ */
