/* Patterns in which `*` stands for any text, as names of datacenters and of namespaces in policies are. */
#ifndef LIB_GLOB_H_
#define LIB_GLOB_H_

#include <stdbool.h>

/* A star fits any number of bytes, also none; no other byte is special. Takes at most the product of both lengths. */
bool glob_match(const char *pattern, const char *text);

#endif /* LIB_GLOB_H_ */
