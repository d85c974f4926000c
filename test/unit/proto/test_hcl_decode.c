#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/hcl_decode.h"

/* ---- objects to decode into ---- */

#define DISK_FIELDS(X, T)                                                                                              \
	X(T, STR, name, "Name", .label = true, .key = true)                                                            \
	X(T, INT, size_mb, "SizeMB", .hcl = "size", .min = 1, .max = 1000, .dflt = 10)                                 \
	X(T, STRS, tags, "Tags")

#define ROOM_FIELDS(X, T)                                                                                              \
	X(T, INT, seats, "Seats", .dflt = 4)                                                                           \
	X(T, DUR, wait, "Wait", .min = 0, .max = INT64_C(60000000000))                                                 \
	X(T, OBJ(disk), disk, "Disk")

#define HOUSE_FIELDS(X, T)                                                                                             \
	X(T, BOOL, open, "Open")                                                                                       \
	X(T, INT, floors, "Floors", .dflt = 2)                                                                         \
	X(T, NUM, height, "Height")                                                                                    \
	X(T, TIME, built, "Built")                                                                                     \
	X(T, STR, name, "Name", .dflt_str = "home")                                                                    \
	X(T, BYTES, plan, "Plan")                                                                                      \
	X(T, ANY, extra, "Extra")                                                                                      \
	X(T, OPTBOOL, lit, "Lit")                                                                                      \
	X(T, OPTINT, rent, "Rent")                                                                                     \
	X(T, OPTDUR, lease, "Lease")                                                                                   \
	X(T, STRS, doors, "Doors")                                                                                     \
	X(T, INTS, keys, "Keys")                                                                                       \
	X(T, MAP, meta, "Meta")                                                                                        \
	X(T, INTMAP, counts, "Counts")                                                                                 \
	X(T, NUMMAP, shares, "Shares")                                                                                 \
	X(T, BOOLMAP, flags, "Flags")                                                                                  \
	X(T, OBJ(room), room, "Room")                                                                                  \
	X(T, LIST(room), rooms, "Rooms", .hcl = "extra_room")                                                          \
	X(T, LIST(disk), disks, "Disks", .hcl = "disk")                                                                \
	X(T, OBJMAP(room), named, "Named", .hcl = "named_room")                                                        \
	X(T, STR, status, "Status", .server = true)

OBJECT_DECLARE(disk, DISK_FIELDS);
OBJECT_DECLARE(room, ROOM_FIELDS);
OBJECT_DECLARE(house, HOUSE_FIELDS);
OBJECT_DEFINE(disk, DISK_FIELDS);
OBJECT_DEFINE(room, ROOM_FIELDS);
OBJECT_DEFINE(house, HOUSE_FIELDS);

/* ---- helpers ---- */

static struct arena mem;
static struct hcl_report report;
static struct house house;

static int set_up(void **state)
{
	(void)state;
	memset(&report, 0, sizeof(report));
	report.mem = &mem;
	report.file = "house.hcl";
	object_init(&house_type, &house);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

/* Lay the text over the house. The tree's arena goes at once: the house must not need it. */
static int lay(const char *text, bool json)
{
	struct arena tree = {0};
	struct hcl_body *body;
	struct hcl_error error;
	int rv = (json ? hcl_parse_json : hcl_parse)(text, strlen(text), &tree, &body, &error);

	if (rv != 0) {
		fail_msg("%u, %u: %s in:\n%s", error.pos.line, error.pos.column, error.text, text);
	}
	rv = hcl_decode(&house_type, &house, body, NULL, &mem, &report);
	arena_close(&tree);
	return rv;
}

static const char *notes(void)
{
	struct buf out = {0};
	const char *text;

	hcl_report_print(&report, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

static const char *house_json(void)
{
	struct buf out = {0};
	const char *text;

	json_encode(&house_type, &house, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

static void check_laid(const char *text)
{
	int rv = lay(text, false);

	if (rv != 0 || report.warnings > 0) {
		fail_msg("%d: %s in:\n%s", rv, notes(), text);
	}
}

/* The text is refused (or warned about) with just this note. */
static void check_note(const char *text, bool error, const char *want)
{
	set_up(NULL);
	assert_int_equal(lay(text, false), error ? ERR_INVALID : 0);
	assert_string_equal(notes(), arena_printf(&mem, "house.hcl:%s\n", want));
}

/* ---- tests ---- */

static void every_kind_of_member_is_decoded(void **state)
{
	(void)state;
	check_laid("open = true\n"
		   "floors = 1 + 2\n"
		   "height = 2.5\n"
		   "built = \"2026-01-31T12:00:00Z\"\n"
		   "name = \"x${1}\"\n"
		   "plan = \"abc\"\n"
		   "extra { a = [1, {b = null}]\n c \"d\" { e = 1 }\n c \"f\" {} }\n"
		   "lit = false\n"
		   "rent = 0\n"
		   "lease = \"1m30s\"\n"
		   "doors = [\"a\", 1, true]\n"
		   "keys = [3, 2]\n"
		   "meta { b = 1\n \"a.b\" = \"x\" }\n"
		   "counts = { x = 1 }\n"
		   "shares = { x = 0.5 }\n"
		   "flags = { x = true }\n"
		   "room { seats = 1\n disk \"d\" { size = 5 } }\n"
		   "extra_room { seats = 7 }\n"
		   "extra_room { wait = \"1s\" }\n"
		   "disk \"b\" { tags = [\"t\"] }\n"
		   "disk \"a\" { size = 20 }\n"
		   "named_room \"z\" { seats = 9 }\n"
		   "named_room \"y\" {}\n");
	assert_true(house.open);
	assert_int_equal(house.floors, 3);
	assert_true(house.height == 2.5);
	assert_int_equal(house.built, INT64_C(1769860800000000000));
	assert_string_equal(house.name, "x1");
	assert_int_equal(house.plan.n, 3);
	assert_string_equal(house.extra, "{\"a\":[1,{\"b\":null}],\"c\":[{\"d\":{\"e\":1}},{\"f\":{}}]}");
	assert_true(house.lit.set && !house.lit.at);
	assert_true(house.rent.set && house.rent.at == 0);
	assert_int_equal(house.lease.at, INT64_C(90000000000));
	assert_int_equal(house.doors.n, 3);
	assert_string_equal(house.doors.at[1], "1");
	assert_string_equal(house.doors.at[2], "true");
	assert_int_equal(house.keys.at[0], 3);
	assert_string_equal(house.meta.at[0].key, "a.b");
	assert_string_equal(house.meta.at[1].value, "1");
	assert_int_equal(house.counts.at[0].value, 1);
	assert_true(house.shares.at[0].value == 0.5);
	assert_true(house.flags.at[0].value);
	assert_int_equal(house.room->seats, 1);
	assert_string_equal(house.room->disk->name, "d");
	assert_int_equal(house.room->disk->size_mb, 5);
	assert_int_equal(house.rooms.n, 2);
	assert_int_equal(house.rooms.at[0].seats, 7);
	assert_int_equal(house.rooms.at[1].seats, 4);
	assert_int_equal(house.rooms.at[1].wait, INT64_C(1000000000));
	assert_int_equal(house.disks.n, 2);
	assert_string_equal(house.disks.at[0].name, "b");
	assert_int_equal(house.disks.at[0].size_mb, 10);
	assert_int_equal(house.disks.at[1].size_mb, 20);
	assert_string_equal(house.named.keys[0], "y");
	assert_string_equal(house.named.keys[1], "z");
	assert_int_equal(house.named.at[1].seats, 9);
}

static void json_means_the_same(void **state)
{
	const char *native;

	(void)state;
	check_laid("floors = 3\nmeta { a = \"b\" }\nroom { seats = 1 }\nextra_room { seats = 2 }\nextra_room {}\n"
		   "disk \"a\" { size = 1 }\ndisk \"b\" {}\nnamed_room \"c\" { wait = \"1s\" }\nextra { x = 1 }\n");
	native = house_json();
	set_up(NULL);
	assert_int_equal(lay("{\"floors\": 3, \"meta\": {\"a\": \"b\"}, \"room\": {\"seats\": 1},"
			     "\"extra_room\": [{\"seats\": 2}, {}], \"disk\": {\"a\": {\"size\": 1}, \"b\": {}},"
			     "\"named_room\": {\"c\": {\"wait\": \"1s\"}}, \"extra\": {\"x\": 1}}",
			     true),
			 0);
	assert_string_equal(house_json(), native);
	set_up(NULL);
	assert_int_equal(lay("{\"floors\": 3, \"meta\": [{\"a\": \"b\"}], \"room\": [{\"seats\": 1}],"
			     "\"extra_room\": [{\"seats\": 2}, {}], \"disk\": [{\"a\": [{\"size\": 1}]}, {\"b\": {}}],"
			     "\"named_room\": [{\"c\": {\"wait\": \"1s\"}}], \"extra\": {\"x\": 1}}",
			     true),
			 0);
	assert_string_equal(house_json(), native);
	assert_string_equal(notes(), "");
}

static void later_texts_are_laid_over_earlier_ones(void **state)
{
	(void)state;
	check_laid("name = \"a\"\nfloors = 5\ndoors = [\"x\"]\nkeys = [1]\nmeta { a = 1\n b = 1 }\n"
		   "room { seats = 7\n wait = \"1s\" }\ndisk \"d\" { size = 1\n tags = [\"t\"] }\n"
		   "extra_room { seats = 1 }\nnamed_room \"n\" { seats = 2 }\n");
	check_laid("name = \"b\"\ndoors = [\"y\"]\nkeys = [2]\nmeta { b = 2\n c = 3 }\n"
		   "room { wait = \"2s\" }\ndisk \"d\" { size = 2\n tags = [\"u\"] }\ndisk \"c\" {}\n"
		   "extra_room { seats = 2 }\nnamed_room \"n\" { wait = \"3s\" }\nnamed_room \"a\" {}\n");
	assert_string_equal(house.name, "b");
	assert_int_equal(house.floors, 5);
	assert_int_equal(house.doors.n, 2);
	assert_string_equal(house.doors.at[0], "x");
	assert_int_equal(house.keys.at[1], 2);
	assert_int_equal(house.meta.n, 3);
	assert_string_equal(house.meta.at[1].value, "2");
	assert_int_equal(house.room->seats, 7);
	assert_int_equal(house.room->wait, INT64_C(2000000000));
	assert_int_equal(house.disks.n, 2);
	assert_int_equal(house.disks.at[0].size_mb, 2);
	assert_int_equal(house.disks.at[0].tags.n, 2);
	assert_int_equal(house.rooms.n, 2);
	assert_int_equal(house.named.n, 2);
	assert_int_equal(house.named.at[1].seats, 2);
	assert_int_equal(house.named.at[1].wait, INT64_C(3000000000));
}

static void null_is_as_not_given(void **state)
{
	(void)state;
	check_laid("name = null\nroom = null\ndisk = null\nrent = null\nmeta = { a = 1 }");
	assert_string_equal(house.name, "home");
	assert_null(house.room);
	assert_false(house.rent.set);
	check_laid("meta = { a = null, b = 2 }");
	assert_int_equal(house.meta.n, 1);
	assert_string_equal(house.meta.at[0].key, "b");
}

static void primitives_convert_where_nothing_is_lost(void **state)
{
	(void)state;
	check_laid("open = \"true\"\nfloors = \"7\"\nheight = \"1.5\"\nname = 4\nrent = \"-2\"\n");
	assert_true(house.open);
	assert_int_equal(house.floors, 7);
	assert_true(house.height == 1.5);
	assert_string_equal(house.name, "4");
	assert_int_equal(house.rent.at, -2);
}

static void faults_name_the_key_and_its_place(void **state)
{
	(void)state;
	check_note("\nopen = 1", true, "2,8: error: open must be true or false, not a number");
	check_note("floors = 1.5", true, "1,10: error: floors must be a whole number, not a number");
	check_note("floors = \"x\"", true, "1,10: error: floors must be a whole number, not \"x\"");
	check_note("room {\n wait = \"3\"\n}", true,
		   "2,9: error: room.wait must be a duration such as \"30s\", not \"3\"");
	check_note("room { wait = \"90s\" }", true, "1,15: error: room.wait must be 0s to 1m0s");
	check_note("disk \"a\" { size = 0 }", true, "1,19: error: disk.a.size must be 1 to 1000");
	check_note("built = \"today\"", true,
		   "1,9: error: built must be a time such as \"2026-01-31T12:00:00Z\", not \"today\"");
	check_note("doors = \"a\"", true, "1,9: error: doors must be a list of strings, not \"a\"");
	check_note("doors = [[]]", true, "1,9: error: doors must be a list of strings, not a list");
	check_note("meta = [1, 2]", true, "1,8: error: meta must be an object of strings, not a list");
	check_note("counts { a = \"b\" }", true,
		   "1,1: error: counts must be an object of whole numbers, not an object");
	check_note("name = x", true, "1,8: error: name: unknown variable \"x\"; a text stands in quotes");
	check_note("name {}", true, "1,1: error: name must be a string, not a block");
	check_note("room = 1", true, "1,8: error: room must be a block");
	check_note("disk = [1]", true, "1,8: error: disk must be a block");
	check_note("disk {}", true, "1,1: error: disk needs one label: disk \"name\" {");
	check_note("extra_room \"x\" {}", true, "1,1: error: extra_room has no labels: extra_room {");
	check_note("room \"x\" {}", true, "1,1: error: room has too many labels");
	check_note("room {}\nroom {}", true, "2,1: error: room is given twice");
	check_note("extra { a {}\n a = 1 }", true, "2,2: error: extra.a is given twice");
}

static void unknown_names_are_warnings_unless_it_is_strict(void **state)
{
	(void)state;
	check_note("room {\n  color = 1\n}", false, "2,3: warning: room.color is not known here");
	check_note("garden \"x\" {\n}", false, "1,1: warning: garden is not known here");
	check_note("status = \"x\"", false, "1,1: warning: status is not known here");
	check_note("disk \"x\" { name = \"y\" }", false, "1,12: warning: disk.x.name is not known here");
	set_up(NULL);
	report.strict = true;
	assert_int_equal(lay("garden = 1", false), ERR_INVALID);
	assert_int_equal(lay("disk \"a\" {}\ndisk \"a\" {}", false), ERR_INVALID);
	assert_string_equal(notes(), "house.hcl:1,1: error: garden is not known here\n"
				     "house.hcl:2,1: error: disk.a is given twice\n");
}

static void all_faults_are_told_together(void **state)
{
	(void)state;
	assert_int_equal(lay("open = 1\nfloors = true\nname = \"good\"\n", false), ERR_INVALID);
	assert_int_equal(report.errors, 2);
	assert_string_equal(house.name, "good");
}

static void notes_are_bounded(void **state)
{
	struct buf text = {0};
	int i;

	(void)state;
	for (i = 0; i < 500; i++) {
		buf_printf(&text, "u%d = 1\n", i);
	}
	assert_int_equal(lay(buf_text(&text), false), 0);
	assert_int_equal(report.warnings, 500);
	assert_int_equal(report.n, HCL_MAX_NOTES);
	assert_non_null(strstr(notes(), "\nand 400 more\n"));
	buf_close(&text);
}

static void elements_are_bounded(void **state)
{
	struct buf text = {0};
	int i;

	(void)state;
	for (i = 0; i <= HCL_MAX_ELEMENTS; i++) {
		buf_str(&text, "extra_room {}\n");
	}
	assert_int_equal(lay(buf_text(&text), false), ERR_INVALID);
	assert_string_equal(notes(), "house.hcl:1,1: error: extra_room is given more than 4096 times\n");
	buf_close(&text);
}

static void places_are_remembered(void **state)
{
	const struct hcl_place *place;

	(void)state;
	check_laid("floors = 1\nroom { seats = 2 }\ndisk \"a\" { size = 3 }");
	report.file = "other.hcl";
	check_laid("\n\nfloors = 4");
	place = hcl_report_place(&report, "floors");
	assert_string_equal(place->file, "other.hcl");
	assert_int_equal(place->pos.line, 3);
	assert_int_equal(hcl_report_place(&report, "room.seats")->pos.line, 2);
	assert_string_equal(hcl_report_place(&report, "disk.a.size")->file, "house.hcl");
	assert_null(hcl_report_place(&report, "name"));
	hcl_report_about(&report, true, "floors", "%s is odd", "floors");
	hcl_report_about(&report, false, "name", "name is missing");
	assert_string_equal(notes(), "other.hcl:3,10: error: floors is odd\nwarning: name is missing\n");
}

static void sizes_have_units(void **state)
{
	static const struct {
		const char *text;
		int64_t bytes;
	} good[] = {{"0", 0},
		    {"512", 512},
		    {"10k", 10000},
		    {"10 KB", 10000},
		    {"2KiB", 2048},
		    {"1.5MiB", 1572864},
		    {"30G", INT64_C(30000000000)},
		    {"1TiB", INT64_C(1) << 40},
		    {"7B", 7}};
	static const char *const bad[] = {"", "x", "-1", "1x", "1kk", "1KBs", "99999999P"};
	int64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(hcl_size_parse(good[i].text, &bytes));
		assert_int_equal(bytes, good[i].bytes);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(hcl_size_parse(bad[i], &bytes));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_member_is_decoded),
		TEST(json_means_the_same),
		TEST(later_texts_are_laid_over_earlier_ones),
		TEST(null_is_as_not_given),
		TEST(primitives_convert_where_nothing_is_lost),
		TEST(faults_name_the_key_and_its_place),
		TEST(unknown_names_are_warnings_unless_it_is_strict),
		TEST(all_faults_are_told_together),
		TEST(notes_are_bounded),
		TEST(elements_are_bounded),
		TEST(places_are_remembered),
		TEST(sizes_have_units),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
