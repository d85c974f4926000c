#include "client/oserror.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *oserror_text(int error, char out[OSERROR_TEXT])
{
	char local[OSERROR_TEXT];

	/* GNU's strerror_r() may leave `local` alone and return a constant. */
	snprintf(out, OSERROR_TEXT, "%s", strerror_r(error, local, sizeof(local)));
	out[0] = (char)tolower((unsigned char)out[0]);
	return out;
}

bool oserror_passing(int error)
{
	static const int passing[] = {EAGAIN, ENOMEM, EMFILE,  ENFILE, ENOSPC,   EDQUOT,
				      EIO,    EINTR,  ETXTBSY, EBUSY,  ETIMEDOUT};
	size_t i;

	for (i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (passing[i] == error) {
			return true;
		}
	}
	return false;
}
