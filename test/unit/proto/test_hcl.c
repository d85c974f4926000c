#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/hcl.h"
#include "proto/hcl_eval.h"

/* One arena for a test; the helpers below use it. */
static struct arena mem;
static struct hcl_error error;

static int set_up(void **state)
{
	(void)state;
	memset(&error, 0, sizeof(error));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static struct hcl_body *parse(const char *text)
{
	struct hcl_body *body = NULL;
	int rv = hcl_parse(text, strlen(text), &mem, &body, &error);

	if (rv != 0) {
		fail_msg("%u, %u: %s in:\n%s", error.pos.line, error.pos.column, error.text, text);
	}
	return body;
}

static const char *printed(const struct hcl_body *body)
{
	struct buf out = {0};
	const char *text;

	hcl_print(body, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

/* The text parses, and prints as `want`, which parses and prints as itself. */
static void check_print(const char *text, const char *want)
{
	assert_string_equal(printed(parse(text)), want);
	assert_string_equal(printed(parse(want)), want);
}

static void check_refused(const char *text, unsigned line, unsigned column, const char *piece)
{
	struct hcl_body *body = NULL;

	memset(&error, 0, sizeof(error));
	if (hcl_parse(text, strlen(text), &mem, &body, &error) != ERR_SYNTAX) {
		fail_msg("not refused: %s", text);
	}
	assert_null(body);
	if (strstr(error.text, piece) == NULL || error.pos.line != line || error.pos.column != column) {
		fail_msg("%s\n%u, %u: %s; expected %u, %u: %s", text, error.pos.line, error.pos.column, error.text,
			 line, column, piece);
	}
}

static const char *json_of(const struct hcl_value *v)
{
	struct buf out = {0};
	const char *text;

	hcl_value_json(v, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

static int eval_text(const char *text, const struct hcl_scope *scope, struct hcl_value *v)
{
	struct hcl_expr *e = NULL;
	int rv = hcl_parse_expr(text, strlen(text), &mem, &e, &error);

	if (rv != 0) {
		fail_msg("%u, %u: %s in: %s", error.pos.line, error.pos.column, error.text, text);
	}
	return hcl_eval(e, scope, &mem, v, &error);
}

/* The expression's value as JSON. */
static void check_value(const char *text, const char *want)
{
	struct hcl_value v;
	int rv = eval_text(text, NULL, &v);

	if (rv != 0) {
		fail_msg("%u, %u: %s in: %s", error.pos.line, error.pos.column, error.text, text);
	}
	assert_string_equal(json_of(&v), want);
}

static void check_no_value(const char *text, int code, const char *piece)
{
	struct hcl_value v;
	int rv = eval_text(text, NULL, &v);

	if (rv != code || strstr(error.text, piece) == NULL) {
		fail_msg("%s: %d %s; expected %d %s", text, rv, error.text, code, piece);
	}
}

/* ---- bodies ---- */

static void bodies_have_attributes_and_blocks(void **state)
{
	(void)state;
	check_print("", "");
	check_print("a = 1\n\nb=true # c\n", "a = 1\nb = true\n");
	check_print("job \"x\" {\n}", "job \"x\" {\n}\n");
	check_print("a b \"c\" {\n x = null\n d {\n }\n}\n", "a \"b\" \"c\" {\n  x = null\n  d {\n  }\n}\n");
	check_print("one { a = 1 }", "one {\n  a = 1\n}\n");
	check_print("a-b_c9 = 1", "a-b_c9 = 1\n");
	check_print("\xc3\xa4 = 1", "\"\xc3\xa4\" = 1\n");
}

static void comments_are_skipped_wherever_space_may_be(void **state)
{
	(void)state;
	check_print("# a\n// b\n/* c\n d */ x /* e */ = /**/ 1 // f\ny /* g */ { # h\n}\n#", "x = 1\ny {\n}\n");
	check_print("x = [1, # one\n 2, /* two */ 3\n]", "x = [1, 2, 3]\n");
	check_print("x = 4 / 2 // 3", "x = 4 / 2\n");
	check_refused("x = 1\n /* y", 2, 2, "does not end");
}

static void older_forms_of_bodies_are_read(void **state)
{
	(void)state;
	check_print("\"driver.raw_exec.enable\" = \"1\"", "\"driver.raw_exec.enable\" = \"1\"\n");
	check_print("driver.raw_exec.enable = 1", "\"driver.raw_exec.enable\" = 1\n");
	check_print("ports { http = 1 rpc = 2, serf = 3 }", "ports {\n  http = 1\n  rpc = 2\n  serf = 3\n}\n");
	check_print("a = {b.c = 1}", "a = {\"b.c\" = 1}\n");
	check_print("\"x\" \"y\" { }", "x \"y\" {\n}\n");
}

static void windows_newlines_and_a_byte_order_mark_are_read(void **state)
{
	(void)state;
	check_print("\xef\xbb\xbf"
		    "a = 1\r\nb {\r\n}\r\n",
		    "a = 1\nb {\n}\n");
	check_print("a = <<X\r\nb\r\nX\r\n", "a = \"b\\u000d\\n\"\n");
}

static void nodes_know_their_place(void **state)
{
	const struct hcl_body *body = parse("a = 1\n  bc {\n\t\xc3\xa4\xc3\xb6 = [ 2 ]\n}\n");
	const struct hcl_item *a = body->first;
	const struct hcl_item *block = a->next;
	const struct hcl_item *inner = block->body->first;

	(void)state;
	assert_int_equal(body->n, 2);
	assert_int_equal(a->value->pos.column, 5);
	assert_int_equal(block->pos.line, 2);
	assert_int_equal(block->pos.column, 3);
	assert_int_equal(inner->pos.line, 3);
	assert_int_equal(inner->pos.column, 2);
	assert_int_equal(inner->value->first->pos.column, 9);
}

static void faults_are_told_with_line_and_column(void **state)
{
	(void)state;
	check_refused("a", 1, 2, "expected = or {");
	check_refused("a =", 1, 4, "expected an expression, not the end");
	check_refused("a = \n1", 1, 5, "expected an expression, not a newline");
	check_refused("a = 1 2", 1, 7, "expected the name");
	check_refused("a == 1", 1, 3, "expected = or {");
	check_refused("a = 1\n}\n", 2, 1, "closes nothing");
	check_refused("a {\n b = 1\n", 3, 1, "expected }");
	check_refused("a \"b\n\" {}", 1, 5, "does not end in its line");
	check_refused("a \"${x}\" {}", 1, 3, "cannot have ${");
	check_refused("a = [1 2]", 1, 8, "expected a comma or \"]\"");
	check_refused("a = {b = 1 c = 2}", 1, 12, "expected a comma, a newline or }");
	check_refused("a = {b}", 1, 7, "expected = or :");
	check_refused("a = (1", 1, 7, "expected \")\"");
	check_refused("a = b.", 1, 7, "a name after the dot");
	check_refused("a = f(1,,2)", 1, 9, "expected an expression");
	check_refused("a = f(1... , 2)", 1, 12, "expected \")\"");
	check_refused("a = x ? 1", 1, 10, "expected \":\"");
	check_refused("a = [for x y: z]", 1, 12, "for NAME in");
	check_refused("a = [for k, in y: z]", 1, 16, "for NAME in");
	check_refused("a = {for x in y: z}", 1, 19, "expected =>");
	check_refused("a = 1e999", 1, 5, "too large");
	check_refused("a = 'x'", 1, 5, "expected an expression, not \"'\"");
	check_refused("a = \xff", 1, 5, "invalid UTF-8");
	check_refused("a = 1\n\"b\\x\" = 1", 2, 3, "unknown escape");
	check_refused("a b c d e f g h i j {}", 1, 20, "more than 8 labels");
}

static void an_attribute_may_be_given_once(void **state)
{
	(void)state;
	check_refused("a = 1\nb = 2\na = 3\n", 3, 1, "\"a\" is given twice, first in line 1");
	check_refused("x {\n a = 1\n a = 1\n}", 3, 2, "twice");
	check_print("x {\n}\nx {\n}\na = 1", "x {\n}\nx {\n}\na = 1\n");
}

static void a_zero_byte_is_refused(void **state)
{
	struct hcl_body *body;

	(void)state;
	assert_int_equal(hcl_parse("a = \0", 5, &mem, &body, &error), ERR_SYNTAX);
	assert_non_null(strstr(error.text, "zero byte"));
}

static const char *repeated(const char *before, const char *piece, size_t n, const char *after)
{
	struct buf out = {0};
	const char *text;

	buf_str(&out, before);
	for (; n > 0; n--) {
		buf_str(&out, piece);
	}
	buf_str(&out, after);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

static void depth_and_size_are_bounded(void **state)
{
	static const struct {
		const char *before, *piece;
	} deep[] = {{"a = ", "["},    {"a = ", "("},         {"a = ", "{b="},  {"a = ", "!"},
		    {"a = ", "1+"},   {"a = b", "[*]"},      {"a = ", "\"${"}, {"a = b", ".c"},
		    {"a = ", "x?1:"}, {"a = \"", "%{if a}"}, {"", "a {\n"}};
	struct hcl_body *body;
	const char *text;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(deep) / sizeof(deep[0]); i++) {
		text = repeated(deep[i].before, deep[i].piece, 100000, "1");
		if (hcl_parse(text, strlen(text), &mem, &body, &error) != ERR_TOOBIG) {
			fail_msg("%s is not bounded: %s", deep[i].piece, error.text);
		}
	}
	text = repeated("a = [", "1,", HCL_MAX_NODES, "]");
	assert_int_equal(hcl_parse(text, strlen(text), &mem, &body, &error), ERR_TOOBIG);
	text = repeated("", "#", HCL_MAX_BYTES + 1, "");
	assert_int_equal(hcl_parse(text, strlen(text), &mem, &body, &error), ERR_TOOBIG);
	text = repeated("a = 1", "\n", HCL_MAX_BYTES - 5, "");
	assert_int_equal(hcl_parse(text, strlen(text), &mem, &body, &error), 0);
}

/* ---- expressions ---- */

static void literals_have_their_values(void **state)
{
	(void)state;
	check_value("null", "null");
	check_value("true", "true");
	check_value("12", "12");
	check_value("9223372036854775807", "9223372036854775807");
	check_value("9223372036854775808", "9.223372036854776e+18");
	check_value("1.5", "1.5");
	check_value("1e3", "1000");
	check_value("2.5E-1", "0.25");
	check_value("007", "7");
	check_value("0.1", "0.1");
	check_value("-3", "-3");
	check_value("\"\"", "\"\"");
	check_value("[]", "[]");
	check_value("[1, \"a\", null,]", "[1,\"a\",null]");
	check_value("[\n1\n,\n2\n]", "[1,2]");
	check_value("{}", "{}");
	check_value("{a = 1, \"b\" : 2, (\"c\") = 3, 4 = 5}", "{\"4\":5,\"a\":1,\"b\":2,\"c\":3}");
	check_value("{\n a = 1\n b = 2,\n c = 3 }", "{\"a\":1,\"b\":2,\"c\":3}");
	check_value("{a = 1, a = 2}", "{\"a\":2}");
	check_value("{true = 1, for_ = 2}", "{\"for_\":2,\"true\":1}");
}

static void strings_have_escapes(void **state)
{
	struct hcl_value v;

	(void)state;
	check_value("\"a\\n\\t\\r\\\"\\\\b\"", "\"a\\n\\t\\r\\\"\\\\b\"");
	check_value("\"\\u00e4\\U0001F600\"", "\"\xc3\xa4\xf0\x9f\x98\x80\"");
	check_value("\"$${a} %%{b} $ % $$ $$$${\"", "\"${a} %{b} $ % $$ $$${\"");
	check_value("\"# // /* no comment */\"", "\"# // /* no comment */\"");
	assert_int_equal(eval_text("\"a\\u0000b\"", NULL, &v), 0);
	assert_string_equal(v.string, "a\xc0\x80"
				      "b");
	check_refused("a = \"\\ud800\"", 1, 12, "four hex digits");
	check_refused("a = \"\\U00110000\"", 1, 16, "eight hex digits");
	check_refused("a = \"\\u12\"", 1, 10, "four hex digits");
	check_refused("a = \"\\", 1, 6, "unknown escape");
}

static void operators_bind_by_their_levels(void **state)
{
	(void)state;
	check_value("1 + 2 * 3", "7");
	check_value("(1 + 2) * 3", "9");
	check_value("10 - 3 - 2", "5");
	check_value("7 / 2", "3.5");
	check_value("8 / 2", "4");
	check_value("7 % 3", "1");
	check_value("-7 % 3", "-1");
	check_value("9223372036854775807 + 1", "9.223372036854776e+18");
	check_value("-9223372036854775807 - 1", "-9223372036854775808");
	check_value("(-9223372036854775807 - 1) % -1", "0");
	check_value("1 < 2 && 2 <= 2 || false", "true");
	check_value("1 == 1.0", "true");
	check_value("\"1\" == 1", "false");
	check_value("[1, {a = 2}] == [1, {a = 2}]", "true");
	check_value("{a = 1} != {a = 2}", "true");
	check_value("null == null", "true");
	check_value("!true == false", "true");
	check_value("true ? 1 : 2", "1");
	check_value("false ? 1 : true ? 2 : 3", "2");
	check_value("\"4\" + 1", "5");
	check_value("1 - -1", "2");
	check_value("false && nothing", "false");
	check_no_value("1 / 0", ERR_RANGE, "division by zero");
	check_no_value("1 % 0", ERR_RANGE, "division by zero");
	check_no_value("1 + true", ERR_TYPE, "a number is needed here, not a bool");
	check_no_value("!1", ERR_TYPE, "a bool is needed here, not a number");
	check_no_value("null ? 1 : 2", ERR_TYPE, "a bool is needed here, not null");
	check_no_value("1e308 * 10", ERR_RANGE, "too large");
}

static void names_and_indexes_reach_inside(void **state)
{
	(void)state;
	check_value("{a = {b = [1, 2]}}.a.b[1]", "2");
	check_value("{a = 1}[\"a\"]", "1");
	check_value("[[1, 2], [3]].0.1", "2");
	check_value("[1, 2][\"1\"]", "2");
	check_value("[{a = 1}, {a = 2}].*.a", "[1,2]");
	check_value("[{a = [1, 2]}, {a = [3, 4]}][*].a[1]", "[2,4]");
	check_value("[{a = [1, 2]}, {a = [3, 4]}].*.a[1]", "[3,4]");
	check_value("[{a = [{b = 1}]}, {a = [{b = 2}, {b = 3}]}][*].a[*].b", "[[1],[2,3]]");
	check_value("{a = 1}.*.a", "[1]");
	check_value("null[*]", "[]");
	check_no_value("[1][1]", ERR_RANGE, "not one of the list's 1 elements");
	check_no_value("[1][-1]", ERR_RANGE, "not one of");
	check_no_value("[1][0.5]", ERR_RANGE, "not one of");
	check_no_value("{a = 1}.b", ERR_NOTFOUND, "no member \"b\"");
	check_no_value("true.b", ERR_TYPE, "a bool has no member");
	check_no_value("true[0]", ERR_TYPE, "a bool has no elements");
}

static void for_makes_lists_and_objects(void **state)
{
	(void)state;
	check_value("[for v in [1, 2, 3]: v * 2]", "[2,4,6]");
	check_value("[for i, v in [\"a\", \"b\"]: \"${i}${v}\"]", "[\"0a\",\"1b\"]");
	check_value("[for k, v in {b = 2, a = 1}: k]", "[\"a\",\"b\"]");
	check_value("[for v in [1, 2, 3]: v if v != 2]", "[1,3]");
	check_value("{for v in [\"a\", \"b\"]: v => upper if false}", "{}");
	check_value("{for i, v in [\"a\", \"b\"]: v => i}", "{\"a\":0,\"b\":1}");
	check_value("{for i, v in [\"a\", \"a\", \"b\"]: v => i...}", "{\"a\":[0,1],\"b\":[2]}");
	check_value("[for x in [1, 2]: [for y in [10, 20]: x * y]]", "[[10,20],[20,40]]");
	check_value("[for x in [1]: [for x in [2]: x]]", "[[2]]");
	check_value("[\nfor x\nin [1]\n: x\n]", "[1]");
	check_no_value("{for i, v in [\"a\", \"a\"]: v => i}", ERR_EXISTS, "two elements with the key \"a\"");
	check_no_value("[for x in 1: x]", ERR_TYPE, "for needs a list or an object, not a number");
	check_no_value("[for x in [1]: y]", ERR_NOTFOUND, "unknown variable \"y\"");
	check_no_value("[[for x in [1]: x], x]", ERR_NOTFOUND, "unknown variable \"x\"");
}

static void templates_join_their_parts(void **state)
{
	(void)state;
	check_value("\"a${1 + 1}b${true}\"", "\"a2btrue\"");
	check_value("\"${1 + 1}\"", "2");
	check_value("\"${\"${true}\"}\"", "true");
	check_value("\"${[1]}\"", "[1]");
	check_value("\"${\"\"}${true}\"", "\"true\"");
	check_value("\"${ {a = \"}\"}.a }\"", "\"}\"");
	check_value("\"hello ${~ \"world\" }\"", "\"helloworld\"");
	check_value("\"${\"a\" ~}  \\n b\"", "\"ab\"");
	check_value("\"${\"hello\" ~}${\" world\"}\"", "\"hello world\"");
	check_value("\"%{ if true }yes%{ else }no%{ endif }\"", "\"yes\"");
	check_value("\"%{ if false }yes%{ else }no%{ endif }\"", "\"no\"");
	check_value("\"%{ if false }yes%{ endif }\"", "\"\"");
	check_value("\"%{ if true ~} hello %{~ endif }\"", "\"hello\"");
	check_value("\"%{ for v in [true] }${v}%{ endfor }\"", "\"true\"");
	check_value("\"%{ for i, v in [\"a\", \"b\"] }${i}=${v};%{ endfor }\"", "\"0=a;1=b;\"");
	check_value("\"%{ for x in [1, 2] }%{ if x == 1 }one%{ else }${x}%{ endif } %{ endfor }\"", "\"one 2 \"");
	check_no_value("\"a${[]}\"", ERR_TYPE, "a string is needed here, not a list");
	check_no_value("\"a${null}\"", ERR_TYPE, "a string is needed here, not null");
	check_refused("a = \"${1\"", 1, 9, "expected } at the end of the template sequence");
	check_refused("a = \"%{ endif }\"", 1, 14, "ends nothing");
	check_refused("a = \"%{ if true }x\"", 1, 6, "if without its endif");
	check_refused("a = \"%{ for x in y }x%{ endif }\"", 1, 6, "for without its endfor");
	check_refused("a = \"%{ while }\"", 1, 6, "unknown template directive");
}

static void heredocs_end_at_their_marker(void **state)
{
	(void)state;
	check_value("<<EOT\nhello\n  world\nEOT\n", "\"hello\\n  world\\n\"");
	check_value("<<EOT\nEOT", "\"\"");
	check_value("<<EOT\n\n\nEOT", "\"\\n\\n\"");
	check_value("<<EOT\n  EOTx\nEOT x\n  EOT\n", "\"  EOTx\\nEOT x\\n\"");
	check_value("<<EOT\n\\n \"quoted\" $${x}\nEOT\n", "\"\\\\n \\\"quoted\\\" ${x}\\n\"");
	check_value("<<EOT\na${1 + 1}\n${\"b\"}c\nEOT\n", "\"a2\\nbc\\n\"");
	check_value("[<<A\n1\nA\n, <<B\n2\nB\n]", "[\"1\\n\",\"2\\n\"]");
	check_value("<<A\n${<<B\nx\nB\n}\nA\n", "\"x\\n\\n\"");
	check_print("a = <<E\nx\nE\nb = 1", "a = \"x\\n\"\nb = 1\n");
	check_refused("a = <<E\nx\n", 3, 1, "a heredoc without its end: \"E\"");
	check_refused("a = << E\nx\nE\n", 1, 7, "expected the marker");
	check_refused("a = <<E x\nE\n", 1, 8, "expected a newline after <<E");
}

static void flush_heredocs_lose_their_indentation(void **state)
{
	(void)state;
	check_value("<<-EOT\n    a\n      b\n\n    c\n  EOT\n", "\"a\\n  b\\n\\nc\\n\"");
	check_value("<<-EOT\n  a\n b\n EOT\n", "\" a\\nb\\n\"");
	check_value("<<-EOT\n  ${1}\n    x\n  EOT\n", "\"1\\n  x\\n\"");
	check_value("<<-EOT\n    x\n${1}\n  EOT\n", "\"    x\\n1\\n\"");
	check_value("<<-EOT\n  a ${1} b\n    c ${2}   d\n  EOT\n", "\"a 1 b\\n  c 2   d\\n\"");
	check_value("<<-EOT\n\t\ta\n\t\t\tb\n\tEOT\n", "\"a\\n\\tb\\n\"");
	check_value("<<-EOT\n  %{ if true ~}\n    a\n  %{ endif ~}\n  EOT\n", "\"  a\\n\"");
	check_value("<<-EOT\n  %{ for x in [1, 2] ~}\n  - ${x}\n  %{ endfor ~}\n  EOT\n", "\"- 1\\n- 2\\n\"");
}

static void expressions_print_as_they_parse(void **state)
{
	(void)state;
	check_print("a = (1 + 2) * -3 - (4 - 5)", "a = (1 + 2) * -3 - (4 - 5)\n");
	check_print("a = !(b && c) || d", "a = !(b && c) || d\n");
	check_print("a = (b ? c : d) ? e : f ? g : h", "a = (b ? c : d) ? e : f ? g : h\n");
	check_print("a = b.c[0][\"d\"].*.e[*].f[1]", "a = b.c[0][\"d\"].*.e[*].f[1]\n");
	check_print("a = (b.*.c).d", "a = (b.*.c).d\n");
	check_print("a = (b[*].c[0])[1]", "a = (b[*].c[0])[1]\n");
	check_print("a = b[*].c.*.d[0]", "a = b[*].c.*.d[0]\n");
	check_print("a = f(1, g()...)", "a = f(1, g()...)\n");
	check_print("a = {(b) = c, (true) = 1, \"x${y}\" : 2, z : 3}",
		    "a = {(b) = c, (true) = 1, \"x${y}\" = 2, \"z\" = 3}\n");
}

static void for_and_templates_print_as_they_parse(void **state)
{
	(void)state;
	check_print("a = [for v in x: v if v]", "a = [for v in x : v if v]\n");
	check_print("a = {for k, v in x: k => v...}", "a = {for k, v in x : k => v...}\n");
	check_print("a = \"x${y}%{if z}1%{else}2%{endif}%{for v in w}${v}%{endfor}\"",
		    "a = \"x${y}%{ if z }1%{ else }2%{ endif }%{ for v in w }${v}%{ endfor }\"\n");
	check_print("a = \"\\u0024${b}\\u0025%{if c}%\\u0025%{endif}\"",
		    "a = \"\\u0024${b}\\u0025%{ if c }%\\u0025%{ endif }\"\n");
	check_print("a = \"$${b} \\\\ \\\" \\u0000 \\u0007\"", "a = \"$${b} \\\\ \\\" \\u0000 \\u0007\"\n");
}

/* ---- scopes ---- */

static int find_variable(void *ctx, const char *name, struct arena *a, struct hcl_value *v, struct hcl_error *e)
{
	(void)ctx;
	(void)a;
	(void)e;
	if (strcmp(name, "five") != 0) {
		return ERR_NOTFOUND;
	}
	*v = (struct hcl_value){.kind = HCL_NUMBER, .number = hcl_integer(5)};
	return 0;
}

static int call_function(void *ctx, const char *name, const struct hcl_value *args, uint32_t n, struct arena *a,
			 struct hcl_value *v, struct hcl_error *e)
{
	(void)ctx;
	(void)a;
	(void)args;
	if (strcmp(name, "count") != 0) {
		return ERR_NOTFOUND;
	}
	if (n > 3) {
		snprintf(e->text, sizeof(e->text), "count takes three arguments at most");
		return ERR_INVALID;
	}
	*v = (struct hcl_value){.kind = HCL_NUMBER, .number = hcl_integer(n)};
	return 0;
}

static void a_scope_brings_variables_and_functions(void **state)
{
	const struct hcl_scope scope = {.variable_cb = find_variable, .function_cb = call_function};
	struct hcl_value v;

	(void)state;
	assert_int_equal(eval_text("five + count(1, [2, 3]...)", &scope, &v), 0);
	assert_int_equal(v.number.integer, 8);
	assert_int_equal(eval_text("  count(1, 2, 3, 4)", &scope, &v), ERR_INVALID);
	assert_int_equal(error.pos.column, 3);
	assert_int_equal(eval_text("size()", &scope, &v), ERR_NOTFOUND);
	assert_string_equal(error.text, "unknown function \"size\"");
	assert_int_equal(eval_text("count(1...)", &scope, &v), ERR_TYPE);
	assert_int_equal(eval_text("upper(1)", NULL, &v), ERR_NOTFOUND);
}

static void unknown_interpolations_can_be_kept(void **state)
{
	const struct hcl_scope scope = {.variable_cb = find_variable, .keep_unknown = true};
	struct hcl_value v;

	(void)state;
	assert_int_equal(eval_text("\"${attr.kernel.name}\"", &scope, &v), 0);
	assert_string_equal(v.string, "${attr.kernel.name}");
	assert_int_equal(eval_text("\"a ${five} ${NOMAD_PORT_x} ${ env[\"HOME\"] }\"", &scope, &v), 0);
	assert_string_equal(v.string, "a 5 ${NOMAD_PORT_x} ${ env[\"HOME\"] }");
	assert_int_equal(eval_text("\"${1 + true}\"", &scope, &v), ERR_TYPE);
	assert_int_equal(eval_text("attr.kernel[\"x\"]", &scope, &v), 0);
	assert_string_equal(v.string, "${attr.kernel[\"x\"]}");
	assert_int_equal(eval_text("\"${NOMAD_X == \"a\" ? 1 : 2} ${five}\"", &scope, &v), 0);
	assert_string_equal(v.string, "2 5");
	assert_int_equal(eval_text("\"${lower(five)}\"", &scope, &v), ERR_NOTFOUND);
	assert_int_equal(eval_text("\"${{a = 1}.b}\"", &scope, &v), ERR_NOTFOUND);
	assert_int_equal(eval_text("five.b", &scope, &v), ERR_TYPE);
}

static void attempts_pass_over_errors(void **state)
{
	const struct hcl_scope scope = {.variable_cb = find_variable, .attempts = true};
	const struct hcl_scope none = {.variable_cb = find_variable};
	struct hcl_value v;

	(void)state;
	assert_int_equal(eval_text("try(six, [for a in [1]: a.b], five)", &scope, &v), 0);
	assert_int_equal(v.number.integer, 5);
	assert_int_equal(eval_text("[for a in [{b = 1}]: try(a.c, a.b)][0]", &scope, &v), 0);
	assert_int_equal(v.number.integer, 1);
	assert_int_equal(eval_text("try(six, 1 / 0)", &scope, &v), ERR_RANGE);
	assert_int_equal(eval_text("can(six) || !can(five)", &scope, &v), 0);
	assert_false(v.boolean);
	assert_int_equal(eval_text("can(1, 2)", &scope, &v), ERR_INVALID);
	assert_int_equal(eval_text("try()", &scope, &v), ERR_INVALID);
	assert_int_equal(eval_text("can(five)", &none, &v), ERR_NOTFOUND);
}

static void evaluations_can_share_a_budget(void **state)
{
	struct hcl_budget budget = {0};
	const struct hcl_scope scope = {.budget = &budget, .attempts = true};
	struct hcl_value v;

	(void)state;
	assert_int_equal(eval_text("1 + 2", &scope, &v), 0);
	assert_int_equal(budget.steps, 3);
	budget.steps = HCL_MAX_STEPS - 2;
	assert_int_equal(eval_text("1 + 2", &scope, &v), ERR_TOOBIG);
	assert_int_equal(eval_text("try(1 + 2, 3)", &scope, &v), ERR_TOOBIG);
}

static void evaluation_is_bounded(void **state)
{
	const char *list = repeated("[", "1,", 1000, "]");
	const char *text = arena_printf(&mem, "[for a in %s: [for b in %s: [for c in %s: a == b]]]", list, list, list);
	struct hcl_value v;

	(void)state;
	assert_int_equal(eval_text(text, NULL, &v), ERR_TOOBIG);
	text = arena_printf(&mem, "[for a in %s: \"%s${a}\"]", list, repeated("", "x", 100000, ""));
	assert_int_equal(eval_text(text, NULL, &v), ERR_TOOBIG);
	text = arena_printf(&mem, "%s: d]]]]",
			    "[for a in [[1,1,1,1,1,1,1,1]]: [for b in [[a,a,a,a,a,a,a,a]]: "
			    "[for c in [[b,b,b,b,b,b,b,b,b]]: "
			    "[for d in [[[c,c,c,c,c,c,c,c],[c,c,c,c,c,c,c,c]]]");
	assert_int_equal(eval_text(text, NULL, &v), 0);
}

/* ---- JSON ---- */

static void json_makes_the_same_trees(void **state)
{
	static const char text[] = "{\"a\": {\"b\": [1, -2.5e1, true, null], \"c\": \"x\\u00e4\\n${y}\"}, \"d\": {}}";
	struct hcl_body *body;

	(void)state;
	assert_int_equal(hcl_parse_json(text, strlen(text), &mem, &body, &error), 0);
	assert_string_equal(printed(body),
			    "a = {\"b\" = [1, -25, true, null], \"c\" = \"x\xc3\xa4\\n$${y}\"}\nd = {}\n");
	assert_int_equal(body->first->next->pos.column, 61);
}

static void json_is_strict(void **state)
{
	static const char *const bad[] = {"",
					  "[]",
					  "1",
					  "{",
					  "{\"a\"}",
					  "{\"a\":}",
					  "{\"a\":1,}",
					  "{a:1}",
					  "{\"a\":1} x",
					  "{\"a\":01}",
					  "{\"a\":1.}",
					  "{\"a\":\"\n\"}",
					  "{\"a\":\"\\x\"}",
					  "{\"a\":tru}",
					  "{\"a\":[1,]}",
					  "{\"a\":\"\\ud8\"}",
					  "{\"a\":+1}",
					  "{\"a\":1e999}",
					  "{\"a\":.5}"};
	struct hcl_body *body = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (hcl_parse_json(bad[i], strlen(bad[i]), &mem, &body, &error) != ERR_SYNTAX) {
			fail_msg("not refused: %s", bad[i]);
		}
	}
	assert_null(body);
}

static void json_strings_have_surrogates(void **state)
{
	static const char text[] = "{\"a\": \"\\ud83d\\ude00 \\ud83d \\ude00 \\u0000\"}";
	struct hcl_body *body;

	(void)state;
	assert_int_equal(hcl_parse_json(text, strlen(text), &mem, &body, &error), 0);
	assert_string_equal(body->first->value->value.string, "\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd \xc0\x80");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bodies_have_attributes_and_blocks),
		TEST(comments_are_skipped_wherever_space_may_be),
		TEST(older_forms_of_bodies_are_read),
		TEST(windows_newlines_and_a_byte_order_mark_are_read),
		TEST(nodes_know_their_place),
		TEST(faults_are_told_with_line_and_column),
		TEST(an_attribute_may_be_given_once),
		TEST(a_zero_byte_is_refused),
		TEST(depth_and_size_are_bounded),
		TEST(literals_have_their_values),
		TEST(strings_have_escapes),
		TEST(operators_bind_by_their_levels),
		TEST(names_and_indexes_reach_inside),
		TEST(for_makes_lists_and_objects),
		TEST(templates_join_their_parts),
		TEST(heredocs_end_at_their_marker),
		TEST(flush_heredocs_lose_their_indentation),
		TEST(expressions_print_as_they_parse),
		TEST(for_and_templates_print_as_they_parse),
		TEST(a_scope_brings_variables_and_functions),
		TEST(unknown_interpolations_can_be_kept),
		TEST(attempts_pass_over_errors),
		TEST(evaluations_can_share_a_budget),
		TEST(evaluation_is_bounded),
		TEST(json_makes_the_same_trees),
		TEST(json_is_strict),
		TEST(json_strings_have_surrogates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
