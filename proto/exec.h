/**
 * What is said about a command that runs beside a task, in the API's messages: one object for each.
 *
 *     to the command     {"version":1,"auth_token":""}          the first, if ws_handshake=true
 *                        {"tty_size":{"height":24,"width":80}}
 *                        {"stdin":{"data":"aGVsbG8K"}}
 *                        {"stdin":{"close":true}}
 *                        {}                                     a sign of life
 *     of the command     {"stdout":{"data":"aGVsbG8K"}}         as stderr
 *                        {"stdout":{"close":true}}
 *                        {"exited":true,"result":{"exit_code":0}}   the last
 */
#ifndef PROTO_EXEC_H_
#define PROTO_EXEC_H_

#include "proto/object.h"

#define EXEC_STREAM_FIELDS(X, T)                                     \
	X(T, BYTES, data, "data", .omit = true)                      \
	X(T, BOOL, close, "close", .omit = true)

#define EXEC_TTY_SIZE_FIELDS(X, T)                                   \
	X(T, INT, height, "height")                                  \
	X(T, INT, width, "width")

#define EXEC_RESULT_FIELDS(X, T) X(T, INT, exit_code, "exit_code")

#define EXEC_INPUT_FIELDS(X, T)                                      \
	X(T, OBJ(exec_stream), in, "stdin", .omit = true)            \
	X(T, OBJ(exec_tty_size), tty_size, "tty_size", .omit = true) \
	X(T, INT, version, "version", .omit = true)                  \
	X(T, STR, auth_token, "auth_token", .omit = true, .secret = true)

#define EXEC_OUTPUT_FIELDS(X, T)                                     \
	X(T, OBJ(exec_stream), out, "stdout", .omit = true)          \
	X(T, OBJ(exec_stream), err, "stderr", .omit = true)          \
	X(T, BOOL, exited, "exited", .omit = true)                   \
	X(T, OBJ(exec_result), result, "result", .omit = true)

OBJECT_DECLARE(exec_stream, EXEC_STREAM_FIELDS);
OBJECT_DECLARE(exec_tty_size, EXEC_TTY_SIZE_FIELDS);
OBJECT_DECLARE(exec_result, EXEC_RESULT_FIELDS);
OBJECT_DECLARE(exec_input, EXEC_INPUT_FIELDS);
OBJECT_DECLARE(exec_output, EXEC_OUTPUT_FIELDS);

enum { EXEC_HANDSHAKE_VERSION = 1 };

#endif /* PROTO_EXEC_H_ */
