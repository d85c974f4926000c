/** What the system says of an error number, in the form that Nomad's users know: "no such file or directory". */
#ifndef CLIENT_OSERROR_H_
#define CLIENT_OSERROR_H_

#include <stdbool.h>
#include <stddef.h>

enum { OSERROR_TEXT = 128 };

/* `out`, filled with the text of an errno value, in lower case. */
const char *oserror_text(int error, char out[OSERROR_TEXT]);

/* Whether the same call may succeed later without anyone changing what was asked for: lack of memory, of descriptors,
 * of disk space and the like. */
bool oserror_passing(int error);

#endif /* CLIENT_OSERROR_H_ */
