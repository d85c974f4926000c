#include "cli/table.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

void table_add(struct table *t, const char *const *cells, size_t n)
{
	size_t i;

	assert(n <= TABLE_MAX_COLUMNS);
	for (i = 0; i < n; i++) {
		const char *c = cells[i] == NULL || cells[i][0] == '\0' ? "<none>" : cells[i];

		for (; *c != '\0'; c++) {
			buf_byte(&t->text, (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c);
		}
		buf_byte(&t->text, '\t');
	}
	buf_byte(&t->text, '\n');
}

/* The characters of a cell: UTF-8 without the bytes that continue one. */
static size_t width(const char *cell, size_t len)
{
	size_t n = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		n += ((unsigned char)cell[i] & 0xc0) != 0x80;
	}
	return n;
}

static void measure(const char *text, size_t widths[TABLE_MAX_COLUMNS])
{
	size_t column = 0;

	for (; *text != '\0'; text++) {
		size_t len = strcspn(text, "\t\n");

		if (text[len] == '\t') {
			size_t n = width(text, len);

			widths[column] = n > widths[column] ? n : widths[column];
			column++;
		} else {
			column = 0;
		}
		text += len;
	}
}

/* One cell, and what stands between it and the next one, if there is one. */
static void put_cell(FILE *out, const char *cell, size_t len, size_t column_width, const char *between)
{
	size_t fill = column_width - width(cell, len);

	fwrite(cell, 1, len, out);
	if (cell[len + 1] != '\n') {
		fprintf(out, "%*s%s", (int)fill, "", between);
	}
}

static void print(struct table *t, FILE *out, const char *between)
{
	size_t widths[TABLE_MAX_COLUMNS] = {0};
	const char *text = buf_text(&t->text);
	size_t column = 0;

	measure(text, widths);
	for (; *text != '\0'; text++) {
		size_t len = strcspn(text, "\t\n");

		if (text[len] == '\t') {
			put_cell(out, text, len, widths[column++], between);
		} else {
			fputc('\n', out);
			column = 0;
		}
		text += len;
	}
	buf_close(&t->text);
}

void table_print(struct table *t, FILE *out)
{
	print(t, out, "  ");
}

void table_print_pairs(struct table *t, FILE *out)
{
	print(t, out, " = ");
}
