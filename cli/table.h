/**
 * Columns of text.
 *
 *     ID       Status        rows: columns as wide as their widest cell, two spaces between
 *     web      running
 *
 *     ID     = web           pairs: " = " between
 *     Status = running
 *
 * Control characters in cells are shown as "?": what comes from a server must not command the terminal.
 */
#ifndef CLI_TABLE_H_
#define CLI_TABLE_H_

#include <stdio.h>

#include "lib/buf.h"

enum { TABLE_MAX_COLUMNS = 16 };

/* All zero is an empty table. */
struct table {
	struct buf text; /* Each cell ends in a tab, each row in a newline. */
};

/* Append a row. An empty cell is shown as "<none>". */
void table_add(struct table *t, const char *const *cells, size_t n);

#define table_row(t, ...)                                                                                              \
	table_add(t, (const char *const[]){__VA_ARGS__},                                                               \
		  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* Print all rows and release the table. */
void table_print(struct table *t, FILE *out);
void table_print_pairs(struct table *t, FILE *out);

#endif /* CLI_TABLE_H_ */
