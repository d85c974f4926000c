#include "proto/error.h"

const char *error_text(int code)
{
	switch (code) {
#define X(name, number, text)                                                                                          \
	case ERR_##name:                                                                                               \
		return text;
		ERROR_LIST(X)
#undef X
	default:
		return "unknown error";
	}
}
