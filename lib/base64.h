/* Bytes as text: base64 of RFC 4648. (Reading it is proto/jsonin.h's, as JSON says where it is wrong.) */
#ifndef LIB_BASE64_H_
#define LIB_BASE64_H_

#include <stdbool.h>
#include <stddef.h>

#include "lib/buf.h"

enum base64_digits {
	BASE64_PLAIN, /* '+' and '/' */
	BASE64_URL,   /* '-' and '_' */
};

/* `pads`: '=' fill up the last four digits. Without memory `out` has failed. */
void base64_put(struct buf *out, const void *data, size_t n, enum base64_digits digits, bool pads);

/* What a digit of BASE64_PLAIN stands for; -1: it is none. */
int base64_value(char digit);

#endif /* LIB_BASE64_H_ */
