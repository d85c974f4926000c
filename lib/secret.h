/**
 * Secrets compared in a time that tells nothing of them.
 */
#ifndef LIB_SECRET_H_
#define LIB_SECRET_H_

#include <stdbool.h>
#include <stddef.h>

/* Whether two texts are the same; how long it takes depends on their lengths alone. */
bool secret_equal(const char *a, const char *b);

#endif /* LIB_SECRET_H_ */
