/* Functions of the job language: what each makes of its arguments, in a job file. */
#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/jobspec.h"

static struct arena mem;

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

/* The value as JSON, or why there is none. */
static const char *value_of(const char *expression)
{
	const char *text =
		arena_printf(&mem, "job \"j\" { group \"g\" { task \"t\" { config { v = %s\n } } } }", expression);
	const struct jobspec_source source = {.text = text, .len = strlen(text), .name = "f", .seed = {{1, 2, 3}}};
	struct buf why = {0};
	struct job job;
	const char *json;

	if (jobspec_parse(&source, &mem, &job, &why) != 0) {
		json = arena_strdup(&mem, buf_text(&why));
	} else {
		json = job.task_groups.at[0].tasks.at[0].config + 5;
		json = arena_strndup(&mem, json, strlen(json) - 1);
	}
	buf_close(&why);
	return json;
}

static void check(const char *expression, const char *want)
{
	const char *is = value_of(expression);

	if (strcmp(is, want) != 0) {
		fail_msg("%s is\n%s, not\n%s", expression, is, want);
	}
}

/* The call is refused with this in its message. */
static void check_refused(const char *expression, const char *want)
{
	const char *is = value_of(expression);

	if (strncmp(is, "f:1,", 4) != 0 || strstr(is, want) == NULL) {
		fail_msg("%s is\n%s, not\n%s", expression, is, want);
	}
}

#define CASE(name) static void name(void **state __attribute__((unused)))

CASE(numbers)
{
	check("abs(-5)", "5");
	check("abs(1.5)", "1.5");
	check("ceil(1.2)", "2");
	check("ceil(-1.2)", "-1");
	check("floor(1.8)", "1");
	check("floor(-1.2)", "-2");
	check("log(16, 2)", "4");
	check("max(1, 7, 3)", "7");
	check("min([4, 2, 3]...)", "2");
	check("max(9007199254740993, 9007199254740992)", "9007199254740993");
	check("parseint(\"ff\", 16)", "255");
	check("parseint(\"-1010\", 2)", "-10");
	check("parseint(\"zZ\", 62)", "2231");
	check("pow(2, 10)", "1024");
	check("signum(-3)", "-1");
	check("signum(0)", "0");
	check("abs(\"-2\")", "2");
	check_refused("log(0, 2)", "call to function \"log\" failed: the result is no finite number");
	check_refused("parseint(\"12\", 2)", "\"12\" is no number in base 2");
	check_refused("parseint(\"\", 10)", "is no number in base 10");
	check_refused("parseint(\"99999999999999999999\", 10)", "too large");
	check_refused("parseint(\"1\", 99)", "argument 2 must be a whole number from 2 to 62");
	check_refused("abs(\"x\")", "argument 1 must be a number, not a string");
	check_refused("max()", "too few arguments: 0");
	check_refused("abs(1, 2)", "too many arguments: 2");
}

CASE(letters)
{
	check("lower(\"ABC Ä ß\")", "\"abc ä ß\"");
	check("upper(\"abc ä я ω ÿ\")", "\"ABC Ä Я Ω ÿ\"");
	check("lower(\"ЯЁΩ\")", "\"яёω\"");
	check("title(\"hello wORLD o'neil é\")", "\"Hello WORLD O'neil É\"");
	check("strrev(\"aäb\")", "\"bäa\"");
	check("strlen(\"aäb\")", "3");
	check("substr(\"hällo\", 1, 3)", "\"äll\"");
	check("substr(\"hello\", -3, -1)", "\"llo\"");
	check("substr(\"hello\", 9, 2)", "\"\"");
	check("chomp(\"a\\n\\r\\n\")", "\"a\"");
	check("trim(\"?!hello?!\", \"!?\")", "\"hello\"");
	check("trim(\"äbä\", \"ä\")", "\"b\"");
	check("trimspace(\"  a b\\n\")", "\"a b\"");
	check("trimspace(\"  \")", "\"\"");
	check("trimprefix(\"helloworld\", \"hello\")", "\"world\"");
	check("trimsuffix(\"helloworld\", \"world\")", "\"hello\"");
	check("trimsuffix(\"ab\", \"xxab\")", "\"ab\"");
	check("indent(2, \"a\\nb\\n\")", "\"a\\n  b\\n  \"");
	check("replace(\"1 + 2 + 3\", \"+\", \"-\")", "\"1 - 2 - 3\"");
	check("replace(\"ab\", \"\", \"-\")", "\"-a-b-\"");
	check("basename(\"a/b/c.txt\")", "\"c.txt\"");
	check("dirname(\"a/b/c.txt\")", "\"a/b\"");
	check("dirname(\"c\")", "\".\"");
	check("dirname(\"/c\")", "\"/\"");
	check_refused("substr(\"a\", 0, -2)", "argument 3 must be a whole number");
	check_refused("upper([])", "argument 1 must be a string, not a list");
}

CASE(lists_of_texts)
{
	check("join(\", \", [\"a\", 1, true], [], [\"b\"])", "\"a, 1, true, b\"");
	check("join(\"-\", [])", "\"\"");
	check("split(\",\", \"a,b,,c\")", "[\"a\",\"b\",\"\",\"c\"]");
	check("split(\",\", \"\")", "[\"\"]");
	check("split(\",\", \"a,\")", "[\"a\",\"\"]");
	check("split(\"\", \"aäb\")", "[\"a\",\"ä\",\"b\"]");
	check("split(\"\", \"\")", "[]");
	check("sort([\"c\", \"a\", 5])", "[\"5\",\"a\",\"c\"]");
	check_refused("join(\",\", [[]])", "an element must be a string, not a list");
	check_refused("sort([[]])", "an element must be a string, not a list");
}

CASE(formats)
{
	check("format(\"%s-%d\", \"a\", 5)", "\"a-5\"");
	check("format(\"%05d|%-5d|%+d|%5d\", 42, 42, 42, 42)", "\"00042|42   |+42|   42\"");
	check("format(\"%x %X %o %b %#x\", 255, 255, 8, 5, 255)", "\"ff FF 10 101 0xff\"");
	check("format(\"%.2f %8.3f %e %g\", 3.14159, 2.5, 1500, 0.1)", "\"3.14    2.500 1.500000e+03 0.1\"");
	check("format(\"%-4s|%4s|%.2s\", \"ä\", \"b\", \"äöü\")", "\"ä   |   b|äö\"");
	check("format(\"%q %t %v %v\", \"a\\\"b\", true, 1.5, \"x\")", "\"\\\"a\\\\\\\"b\\\" true 1.5 x\"");
	check("format(\"%v %v %#v\", [1, \"a\"], null, \"x\")", "\"[1,\\\"a\\\"] null \\\"x\\\"\"");
	check("format(\"%[2]s %[1]s\", \"a\", \"b\")", "\"b a\"");
	check("format(\"%d%%\", 5)", "\"5%\"");
	check("format(\"%x\", \"hi\")", "\"6869\"");
	check("format(\"%08.3f|% d\", -2.5, 3)", "\"-002.500| 3\"");
	check("format(\"%d\", \"7\")", "\"7\"");
	check("formatlist(\"%s:%d\", [\"a\", \"b\"], 80)", "[\"a:80\",\"b:80\"]");
	check("formatlist(\"%s%s\", [\"a\", \"b\"], [1, 2])", "[\"a1\",\"b2\"]");
	check("formatlist(\"%s\", [])", "[]");
	check_refused("format(\"%d\", 1.5)", "%d needs a whole number");
	check_refused("format(\"%d\", \"x\")", "%d cannot stand for a string");
	check_refused("format(\"%s\")", "%s has no argument 1: there are 0");
	check_refused("format(\"a\", 1)", "too many arguments: the format uses 0");
	check_refused("format(\"%y\", 1)", "unknown verb %y");
	check_refused("format(\"%\")", "unknown verb");
	check_refused("format(\"%99999d\", 1)", "cannot be read");
	check_refused("format(\"%[0]d\", 1)", "cannot be read");
	check_refused("formatlist(\"%s%s\", [1], [1, 2])", "the lists must have the same length");
}

CASE(regular_expressions)
{
	check("regex(\"[a-z]+\", \"53453453.345345aaabbbccc23454\")", "\"aaabbbccc\"");
	check("regex(\"(\\\\d{4})-(\\\\d\\\\d)-(\\\\d\\\\d)\", \"2019-02-01\")", "[\"2019\",\"02\",\"01\"]");
	check("regex(\"^(?:(?P<scheme>[^:/?#]+):)?(?://(?P<authority>[^/?#]*))?\", \"https://a.b/x\")",
	      "{\"authority\":\"a.b\",\"scheme\":\"https\"}");
	check("regex(\"a(x)?b\", \"ab\")", "[null]");
	check("regex(\"<.+?>\", \"<a><b>\")", "\"<a>\"");
	check("regexall(\"[a-z]+\", \"1234abcd5678efgh9\")", "[\"abcd\",\"efgh\"]");
	check("regexall(\"x\", \"abc\")", "[]");
	check("length(regexall(\"(\\\\w)(\\\\d)\", \"a1 b2 c3\"))", "3");
	check("regex_replace(\"abc\", \"b*\", \"X\")", "\"XaXcX\"");
	check("regex_replace(\"a.b.c\", \"\\\\.\", \"-\")", "\"a-b-c\"");
	check("regex_replace(\"john doe\", \"(?P<f>\\\\w+) (\\\\w+)\", \"$2, $${f}$$\")", "\"doe, john$\"");
	check_refused("regex(\"x\", \"abc\")", "pattern did not match");
	check_refused("regex(\"(\", \"abc\")", "missing closing ): `(`");
	check_refused("regex(\"(a)(?P<n>b)\", \"ab\")", "cannot mix");
}

CASE(lists)
{
	check("chunklist([1, 2, 3, 4, 5], 2)", "[[1,2],[3,4],[5]]");
	check("chunklist([1], 0)", "[[1]]");
	check("chunklist([], 2)", "[]");
	check("coalesce(null, 2, 3)", "2");
	check("coalescelist([], [1], [2])", "[1]");
	check("compact([\"a\", \"\", null, \"b\"])", "[\"a\",\"b\"]");
	check("concat([1], [], [2, 3])", "[1,2,3]");
	check("contains([\"a\", \"b\"], \"b\")", "true");
	check("contains([[1]], [2])", "false");
	check("distinct([3, 1, 3, 1])", "[3,1]");
	check("element([\"a\", \"b\", \"c\"], 4)", "\"b\"");
	check("flatten([[1, [2]], [], 3])", "[1,2,3]");
	check("index([\"a\", \"b\"], \"b\")", "1");
	check("length([1, 2]) + length({a = 1}) + length(\"äb\")", "5");
	check("range(3)", "[0,1,2]");
	check("range(1, 4)", "[1,2,3]");
	check("range(4, 1)", "[4,3,2]");
	check("range(0, 1, 0.25)", "[0,0.25,0.5,0.75]");
	check("range(2, 2)", "[]");
	check("reverse([1, 2, 3])", "[3,2,1]");
	check("slice([1, 2, 3, 4], 1, 3)", "[2,3]");
	check("slice([], 0, 0)", "[]");
	check_refused("coalesce(null)", "no argument that is not null");
	check_refused("coalescelist([])", "no list that is not empty");
	check_refused("element([], 0)", "an empty list has no elements");
	check_refused("element([1], -1)", "argument 2 must be a whole number");
	check_refused("index([1], 2)", "the list has no such element");
	check_refused("length(5)", "not a number");
	check_refused("range(0, 5, -1)", "the step does not lead from start to limit");
	check_refused("range(0, 5, 0)", "the step does not lead from start to limit");
	check_refused("range(2000)", "more than 1024 values");
	check_refused("slice([1], 0, 2)", "argument 3 must be a whole number from 0 to 1");
}

CASE(sets)
{
	check("setintersection([\"b\", \"a\", \"c\"], [\"c\", \"b\"], [\"b\", \"c\", \"d\"])", "[\"b\",\"c\"]");
	check("setunion([2, 1], [2, 3])", "[1,2,3]");
	check("setsubtract([1, 2, 3], [2])", "[1,3]");
	check("setproduct([\"a\", \"b\"], [1, 2])", "[[\"a\",1],[\"a\",2],[\"b\",1],[\"b\",2]]");
	check("setproduct([1], [])", "[]");
	check("setunion([[2], [1]], [[1], {a = 1}, {a = 1}])", "[[1],[2],{\"a\":1}]");
	check("toset([3, \"1\", \"3\", 1])", "[\"1\",\"3\"]");
}

CASE(objects)
{
	check("keys({b = 1, a = 2})", "[\"a\",\"b\"]");
	check("values({b = 1, a = 2})", "[2,1]");
	check("lookup({a = 1}, \"a\", 2)", "1");
	check("lookup({a = 1}, \"b\", 2)", "2");
	check("merge({a = 1, b = 2}, null, {b = 3}, {})", "{\"a\":1,\"b\":3}");
	check("merge()", "{}");
	check("zipmap([\"b\", \"a\", \"b\"], [1, 2, 3])", "{\"a\":2,\"b\":3}");
	check_refused("lookup({}, \"b\")", "the object has no member \"b\"");
	check_refused("merge(1)", "argument 1 must be an object, not a number");
	check_refused("zipmap([\"a\"], [])", "there are 1 keys and 0 values");
	check_refused("keys([])", "argument 1 must be an object, not a list");
}

CASE(conversions)
{
	check("tostring(5)", "\"5\"");
	check("tonumber(\"5.5\")", "5.5");
	check("tobool(\"true\")", "true");
	check("tolist([\"a\", 1])", "[\"a\",\"1\"]");
	check("tolist([1, 2])", "[1,2]");
	check("tomap({a = 1})", "{\"a\":1}");
	check("convert([1], list(string))", "[\"1\"]");
	check("[for x in [1]: convert(x, string)]", "[\"1\"]");
	check("convert({a = \"1\"}, object({a = number}))", "{\"a\":1}");
	check("can(tonumber(\"x\"))", "false");
	check("try(tonumber(\"x\"), 7)", "7");
	check_refused("tonumber(\"x\")", "argument 1 must be a number, not a string");
	check_refused("convert([\"x\"], list(number))", "number is needed, not a string");
	check_refused("convert(1)", "convert takes a value and a type");
}

CASE(encodings)
{
	check("base64encode(\"Hello World\")", "\"SGVsbG8gV29ybGQ=\"");
	check("base64encode(\"\")", "\"\"");
	check("base64decode(\"SGVsbG8gV29ybGQ=\")", "\"Hello World\"");
	check("base64decode(\"YQBi\")", "\"a\\u0000b\"");
	check("urlencode(\"a b&c/ä~\")", "\"a+b%26c%2F%C3%A4~\"");
	check("jsonencode({a = [1, \"<b>\", null, true]})",
	      "\"{\\\"a\\\":[1,\\\"\\\\u003cb\\\\u003e\\\",null,true]}\"");
	check("jsondecode(\"{\\\"a\\\": [1, \\\"$${x}\\\"]}\")", "{\"a\":[1,\"${x}\"]}");
	check("jsondecode(\"5\")", "5");
	check("jsondecode(jsonencode(\"a\"))", "\"a\"");
	check("csvdecode(\"a,b\\n1,\\\"x \\\"\\\"y\\\"\\\", z\\\"\\r\\n\\n3,\\n\")",
	      "[{\"a\":\"1\",\"b\":\"x \\\"y\\\", z\"},{\"a\":\"3\",\"b\":\"\"}]");
	check_refused("base64decode(\"a\")", "the text is not base64");
	check_refused("base64decode(\"a*==\")", "the text is not base64");
	check_refused("base64decode(\"/w==\")", "the result is not text in UTF-8");
	check_refused("jsondecode(\"1, \\\"x\\\": 2\")", "the text is not one JSON value");
	check_refused("jsondecode(\"{\")", "call to function \"jsondecode\" failed");
	check_refused("csvdecode(\"a,b\\n1\")", "a row has 1 fields, the first one 2");
	check_refused("csvdecode(\"a\\n1,2\")", "a row has more fields than the first");
	check_refused("csvdecode(\"a\\n\\\"x\")", "a quote that does not belong there");
	check_refused("csvdecode(\"\")", "the first row is missing");
}

CASE(hashes)
{
	check("md5(\"hello world\")", "\"5eb63bbbe01eeed093cb22bb8f5acdc3\"");
	check("sha1(\"hello world\")", "\"2aae6c35c94fcfb415dbe95f408b9ce91ee846ed\"");
	check("sha256(\"hello world\")", "\"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9\"");
	check("substr(sha512(\"hello world\"), 0, 16)", "\"309ecc489c12d6eb\"");
	check("uuidv5(\"dns\", \"www.terraform.io\")", "\"a5008fae-b28c-5ba5-96cd-82b4c53552d6\"");
	check("uuidv5(\"url\", \"https://www.terraform.io/\")", "\"9db6f67c-dd95-5ea0-aa5b-e70e5c5f7cf5\"");
	check("uuidv5(\"6ba7b810-9dad-11d1-80b4-00c04fd430c8\", \"www.terraform.io\")",
	      "\"a5008fae-b28c-5ba5-96cd-82b4c53552d6\"");
	check("can(regex(\"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$\", uuidv4()))",
	      "true");
	check("length(distinct([for x in [1, 2, 3]: uuidv4()]))", "3");
	check_refused("uuidv5(\"x\", \"y\")", "argument 1 must be dns, url, oid, x500 or a UUID");
}

CASE(times)
{
	check("formatdate(\"DD MMM YYYY hh:mm ZZZ\", \"2018-01-02T23:12:01Z\")", "\"02 Jan 2018 23:12 UTC\"");
	check("formatdate(\"EEEE, DD-MMM-YY hh:mm:ss ZZZ\", \"2018-01-02T23:12:01Z\")",
	      "\"Tuesday, 02-Jan-18 23:12:01 UTC\"");
	check("formatdate(\"EEE, D MMMM H:m:s AA aa\", \"2018-01-02T23:12:01-08:00\")",
	      "\"Tue, 2 January 11:12:1 PM pm\"");
	check("formatdate(\"YYYY-MM-DD'T'hh:mm:ssZZZZZ ZZZZ Z\", \"2018-01-02T23:12:01-08:30\")",
	      "\"2018-01-02T23:12:01-08:30 -0830 -08:30\"");
	check("formatdate(\"'o''clock' HH h\", \"2018-01-02T00:12:01Z\")", "\"o'clock 12 0\"");
	check("timeadd(\"2017-11-22T00:00:00Z\", \"10m\")", "\"2017-11-22T00:10:00Z\"");
	check("timeadd(\"2017-12-31T23:30:00+01:00\", \"1h\")", "\"2018-01-01T00:30:00+01:00\"");
	check("timeadd(\"1960-01-01T00:00:00Z\", \"-1s\")", "\"1959-12-31T23:59:59Z\"");
	check_refused("formatdate(\"QQ\", \"2018-01-02T23:12:01Z\")", "letters that are no part of a date");
	check_refused("formatdate(\"'x\", \"2018-01-02T23:12:01Z\")", "a missing quote");
	check_refused("formatdate(\"YYY\", \"2018-01-02T23:12:01Z\")", "letters that are no part of a date");
	check_refused("formatdate(\"YYYY\", \"yesterday\")", "\"yesterday\" is not a time");
	check_refused("timeadd(\"2017-11-22T00:00:00Z\", \"soon\")", "\"soon\" is not a duration");
}

CASE(networks)
{
	check("cidrhost(\"10.12.112.0/20\", 16)", "\"10.12.112.16\"");
	check("cidrhost(\"10.12.112.0/20\", -1)", "\"10.12.127.255\"");
	check("cidrhost(\"fd00:fd12:3456:7890:00a2::/72\", 34)", "\"fd00:fd12:3456:7890::22\"");
	check("cidrhost(\"10.0.0.7/32\", 0)", "\"10.0.0.7\"");
	check("cidrnetmask(\"172.16.0.0/12\")", "\"255.240.0.0\"");
	check("cidrnetmask(\"0.0.0.0/0\")", "\"0.0.0.0\"");
	check("cidrsubnet(\"172.16.0.0/12\", 4, 2)", "\"172.18.0.0/16\"");
	check("cidrsubnet(\"10.1.2.0/24\", 4, 15)", "\"10.1.2.240/28\"");
	check("cidrsubnet(\"fd00:fd12:3456:7890::/56\", 16, 162)", "\"fd00:fd12:3456:7800:a200::/72\"");
	check("cidrsubnet(\"0.0.0.0/0\", 0, 0)", "\"0.0.0.0/0\"");
	check("cidrsubnets(\"10.1.0.0/16\", 4, 4, 8, 4)",
	      "[\"10.1.0.0/20\",\"10.1.16.0/20\",\"10.1.32.0/24\",\"10.1.48.0/20\"]");
	check_refused("cidrhost(\"10.0.0.0/24\", 256)", "a prefix of 24 does not accommodate a host numbered 256");
	check_refused("cidrhost(\"10.0.0.0/24\", -257)", "does not accommodate a host numbered -257");
	check_refused("cidrhost(\"10.0.0.0\", 1)", "is not a prefix such as 10.0.0.0/8");
	check_refused("cidrhost(\"10.0.0.0/33\", 1)", "is not a prefix");
	check_refused("cidrhost(\"10.0.0.0/8x\", 1)", "is not a prefix");
	check_refused("cidrnetmask(\"fd00::/8\")", "only IPv4 has netmasks");
	check_refused("cidrsubnet(\"10.0.0.0/30\", 4, 1)", "not enough remaining address space");
	check_refused("cidrsubnet(\"10.0.0.0/8\", 2, 4)", "does not accommodate a subnet numbered 4");
	check_refused("cidrsubnets(\"10.0.0.0/31\", 1, 1, 1)", "not enough remaining address space for argument 4");
}

CASE(what_is_left_out_says_so)
{
	check("try(file(\"/etc/passwd\"), \"no\")", "\"no\"");
	check_refused("file(\"/etc/passwd\")", "call to function \"file\" failed: filesystem function disabled");
	check_refused("fileset(\".\", \"*\")", "filesystem function disabled");
	check_refused("yamldecode(\"a: 1\")", "YAML is not supported here: use jsondecode()");
	check_refused("bcrypt(\"x\")", "not supported here");
	check_refused("nothing(1)", "unknown function \"nothing\"");
}

CASE(calls_are_bounded)
{
	check_refused("[for a in range(20): distinct(range(1000))]", "too many steps");
	check_refused("[for a in range(1000): range(1000)]", "too many steps");
	check_refused("concat([for a in range(400): range(500)]...)", "the value has too many parts");
	check_refused("setproduct(range(1000), range(1000))", "the value has too many parts");
	check_refused("[for a in range(1000): can(format(\"%1000s%1000s%1000s%1000s%1000s%1000s%1000s%1000s%1000s"
		      "%1000s%1000s%1000s%1000s%1000s%1000s%1000s%1000s\", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, "
		      "1, 1))]",
		      "the job file makes too much text");
	check_refused("indent(1000, join(\"\", [for a in range(1000): \"\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n\\n"
		      "\\n\\n\"]))",
		      "the job file makes too much text");
	check_refused("[for a in range(1000): length(regexall(\"(.{0,200}){1,10}x\", "
		      "format(\"%1000s%1000s%1000s\", 1, 2, 3)))]",
		      "too many steps");
	check_refused("[for a in range(1000): can(regex(\"(.{0,200}){1,10}x\", format(\"%1000s\", 1)))]",
		      "too many steps");
}

#define TEST(name) cmocka_unit_test_teardown(name, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(numbers),
		TEST(letters),
		TEST(lists_of_texts),
		TEST(formats),
		TEST(regular_expressions),
		TEST(lists),
		TEST(sets),
		TEST(objects),
		TEST(conversions),
		TEST(encodings),
		TEST(hashes),
		TEST(times),
		TEST(networks),
		TEST(what_is_left_out_says_so),
		TEST(calls_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
