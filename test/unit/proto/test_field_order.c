/* In packed form a field is its number. field_order.h holds all names in the order of their numbers: it may only grow,
 * at the end of a line. `test_field_order --print` writes the lists as they are now. */
#include "test/unit/unit.h"

#include "lib/buf.h"
#include "test/unit/proto/all_types.h"

static const char *const pinned[] = {
#include "test/unit/proto/field_order.h"
};

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]), PINNED = sizeof(pinned) / sizeof(pinned[0]) };

/* "type: Name Name ..." with the kinds, since those too are in the bytes. */
static void write_line(struct buf *b, const struct type *t)
{
	uint16_t i;

	b->len = 0;
	buf_printf(b, "%s:", t->name);
	for (i = 0; i < t->n; i++) {
		buf_printf(b, " %s/%d", t->fields[i].name, t->fields[i].kind);
	}
}

static void no_field_has_changed_its_number_or_kind(void **state)
{
	struct buf b = {0};
	int i;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		const char *line = NULL;
		size_t n = strlen(types[i]->name);
		int k;

		for (k = 0; k < PINNED; k++) {
			if (strncmp(pinned[k], types[i]->name, n) == 0 && pinned[k][n] == ':') {
				line = pinned[k];
			}
		}
		write_line(&b, types[i]);
		if (line == NULL || strcmp(line, buf_text(&b)) != 0) {
			fail_msg("field_order.h has\n%s\nthe table has\n%s", line != NULL ? line : "nothing",
				 buf_text(&b));
		}
	}
	buf_close(&b);
}

static void no_name_stands_twice(void **state)
{
	int i;
	uint16_t k;
	uint16_t m;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		for (k = 0; k < types[i]->n; k++) {
			for (m = 0; m < k; m++) {
				assert_string_not_equal(types[i]->fields[k].name, types[i]->fields[m].name);
				assert_string_not_equal(types[i]->fields[k].hcl, types[i]->fields[m].hcl);
			}
		}
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_field_has_changed_its_number_or_kind),
		cmocka_unit_test(no_name_stands_twice),
	};
	struct buf b = {0};
	int i;

	if (argc == 2 && strcmp(argv[1], "--print") == 0) {
		for (i = 0; i < TYPES; i++) {
			write_line(&b, types[i]);
			printf("\"%s\",\n", buf_text(&b));
		}
		buf_close(&b);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
