#include "test/unit/unit.h"

#include "client/template.h"
#include "client/vars.h"
#include "proto/error.h"

static struct pair pairs[] = {{"EMPTY", ""}, {"NAME", "Web \"1\""}, {"PORT", "80"}};
static const struct task_env env = {.vars = {pairs, 3}};
static const struct template_args usual = {.left = "", .right = "", .env = &env};
static char why[TEMPLATE_WHY];

static void renders(const char *text, const char *want)
{
	struct buf out = {0};

	if (template_render(text, strlen(text), &usual, &out, why) != 0) {
		fail_msg("%s: %s", text, why);
	}
	assert_string_equal(buf_text(&out), want);
	buf_close(&out);
}

static void refused(const char *text, const char *reason)
{
	struct buf out = {0};

	assert_int_equal(template_render(text, strlen(text), &usual, &out, why), ERR_INVALID);
	if (strstr(why, reason) == NULL) {
		fail_msg("%s: %s, not %s", text, why, reason);
	}
	buf_close(&out);
}

static void text_without_actions_goes_through(void **state)
{
	(void)state;
	renders("", "");
	renders("plain text\n", "plain text\n");
	renders("{ { } } $\n", "{ { } } $\n");
}

static void variables_and_strings_are_put_in(void **state)
{
	(void)state;
	renders("port={{ env \"PORT\" }};", "port=80;");
	renders("{{env \"NONE\"}}|{{env \"EMPTY\"}}|", "||");
	renders("{{ \"a }} b\\n\\\"\" }}{{ `raw \\n` }}", "a }} b\n\"raw \\n");
	renders("a{{/* nothing \" of } this */}}b{{- /* or this */ -}} c", "abc");
}

static void values_go_through_functions(void **state)
{
	(void)state;
	renders("{{ env \"NAME\" | toUpper }}", "WEB \"1\"");
	renders("{{ toLower (env \"NAME\") }}", "web \"1\"");
	renders("{{ \" x \" | trimSpace | toJSON }}", "\"x\"");
	renders("{{ env \"NAME\" | toJSON }}", "\"Web \\\"1\\\"\"");
}

static void dashes_take_the_space_away(void **state)
{
	(void)state;
	renders("a \n {{- env \"PORT\" -}} \n b", "a80b");
	renders("a {{ env \"PORT\" -}} b", "a 80b");
	renders("a {{- env \"PORT\" }} b", "a80 b");
}

static void other_delimiters_can_be_chosen(void **state)
{
	static const struct template_args other = {.left = "[[", .right = "]]", .env = &env};
	static const char text[] = "[[ env \"PORT\" ]] {{ x }}";
	struct buf out = {0};

	(void)state;
	assert_int_equal(template_render(text, strlen(text), &other, &out, why), 0);
	assert_string_equal(buf_text(&out), "80 {{ x }}");
	buf_close(&out);
}

static void what_is_not_known_is_named(void **state)
{
	(void)state;
	refused("a\nb {{ key \"x\" }}", "line 2: \"key\" is not supported in templates: there is no Consul here");
	refused("{{ range service \"web\" }}{{ end }}", "\"service\" is not supported");
	refused("{{ with nomadVar \"a/b\" }}{{ .x }}{{ end }}", "the cluster cannot be asked here");
	refused("{{ nothing }}", "\"nothing\" is not supported");
	refused("{{ env }}", "env: too few arguments");
	refused("{{ env \"A\" \"B\" }}", "env: too many arguments");
	refused("{{ \"A\" \"B\" }}", "not supported");
	refused("{{ env \"A\"", "without an end");
	refused("{{ \"a }}", "without an end");
	refused("{{ }}", "a value is missing");
	refused("{{ (env \"A\" }}", "a missing )");
	refused("{{ \"\\q\" }}", "bad escape");
	refused("{{ ((((((((((((((((((((((((((((((((((((((((\"x\")))))))))))))))))))))))))))))))))))))))) }}",
	        "too deeply nested");
}

static void blocks_depend_on_conditions(void **state)
{
	(void)state;
	renders("{{ if env \"PORT\" }}yes{{ end }}{{ if env \"NONE\" }}no{{ end }}", "yes");
	renders("{{ if env \"EMPTY\" }}a{{ else if eq (env \"PORT\") \"80\" }}b{{ else }}c{{ end }}", "b");
	renders("{{ if false }}a{{ else if nil }}b{{ else }}c{{ end }}", "c");
	renders("{{ with env \"PORT\" }}<{{ . }}>{{ end }}{{ with env \"NONE\" }}x{{ else }}none{{ end }}", "<80>none");
	renders("{{ if and true 1 (not \"\") }}{{ if or 0 \"\" }}x{{ else }}y{{ end }}{{ end }}", "y");
	renders("a\n{{- if true }}\nb\n{{- end }}\nc", "a\nb\nc");
	renders("{{ if lt 2 10 }}1{{ end }}{{ if ge \"b\" \"a\" }}2{{ end }}{{ if ne 1 1 }}3{{ end }}{{ if eq 3 1 2 3 }}4{{ end }}", "124");
}

static void ranges_go_over_lists_maps_and_numbers(void **state)
{
	(void)state;
	renders("{{ range split \",\" \"a,b,c\" }}[{{ . }}]{{ end }}", "[a][b][c]");
	renders("{{ range $i, $v := split \",\" \"a,b\" }}{{ $i }}={{ $v }};{{ end }}", "0=a;1=b;");
	renders("{{ range $k, $v := parseJSON `{\"b\":2,\"a\":[true,null,1.5]}` }}{{ $k }}:{{ $v }} {{ end }}",
	        "a:[true <no value> 1.5] b:2 ");
	renders("{{ range loop 3 }}{{ . }}{{ end }}{{ range loop 2 4 }}{{ . }}{{ end }}{{ range 2 }}{{ . }}{{ end }}", "0122301");
	renders("{{ range split \",\" \"\" }}x{{ else }}empty{{ end }}", "empty");
	renders("{{ range loop 9 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ if eq . 4 }}{{ break }}{{ end }}{{ . }}{{ end }}", "023");
	renders("{{ range loop 2 }}{{ range loop 2 }}{{ break }}{{ end }}{{ . }}{{ end }}", "01");
}

static void variables_live_in_their_block(void **state)
{
	(void)state;
	renders("{{ $x := env \"PORT\" }}{{ $x }}{{ $x = \"1\" }}{{ $x }}", "801");
	renders("{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}{{ $x }}", "21");
	renders("{{ $n := 0 }}{{ range loop 5 }}{{ $n = add $n . }}{{ end }}{{ $n }}", "10");
	renders("{{ if $p := env \"PORT\" }}{{ $p }}{{ end }}", "80");
	refused("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}", "undefined variable \"$x\"");
	refused("{{ $x = 1 }}", "undefined variable");
}

static void functions_do_what_their_names_say(void **state)
{
	(void)state;
	renders("{{ 6 | divide 2 }} {{ 5 | subtract 2 }} {{ 2 | add 3 }} {{ multiply 3 4 }} {{ 7 | modulo 4 }}", "3 3 5 12 3");
	renders("{{ minimum 3 4 }} {{ maximum 3 4 }}", "3 4");
	renders("{{ \"a-b-c\" | replaceAll \"-\" \".\" }} {{ split \" \" \"x y\" | join \"+\" }}", "a.b.c x+y");
	renders("{{ \"prefix-x\" | trimPrefix \"prefix-\" }}{{ \"x.conf\" | trimSuffix \".conf\" }}", "xx");
	renders("{{ toTitle \"two words\" }} {{ base64Encode \"hello\" }} {{ base64Decode \"aGVsbG8=\" }}", "Two Words aGVsbG8= hello");
	renders("{{ printf \"%s=%03d|%-4s|%q|%v%%\" \"a\" 7 \"b\" \"c\" true }}", "a=007|b   |\"c\"|true%");
	renders("{{ print \"a\" 1 }}{{ println 1 2 }}", "a11 2\n");
	renders("{{ $j := parseJSON `{\"a\":{\"b\":[1,{\"c\":\"x\"}]}}` }}{{ $j.a.b | len }}{{ (index $j.a.b 1).c }}{{ index $j \"a\" \"b\" 0 }}{{ toJSON $j }}",
	        "2x1{\"a\":{\"b\":[1,{\"c\":\"x\"}]}}");
	renders("{{ if parseBool \"true\" }}{{ parseInt \"12\" | add 1 }}{{ end }}", "13");
	renders("{{ envOrDefault \"NONE\" \"x\" }}{{ envOrDefault \"PORT\" \"x\" }}{{ mustEnv \"PORT\" }}", "x8080");
	renders("{{ if split \",\" \"a,b\" | contains \"b\" }}has{{ end }}{{ contains \"ell\" \"hello\" }}", "hastrue");
	refused("{{ mustEnv \"NONE\" }}", "there is no variable \"NONE\"");
	refused("{{ divide 0 1 }}", "divide: the result is no number");
	refused("{{ index (split \",\" \"a\") 3 }}", "out of range");
	refused("{{ parseJSON \"{\" }}", "no JSON");
	refused("{{ base64Decode \"A@\" }}", "no base64");
	refused("{{ printf \"%x\" 1 }}", "bad format");
	refused("{{ add \"a\" 1 }}", "whole numbers");
}

static void blocks_that_do_not_fit_are_refused(void **state)
{
	(void)state;
	refused("x\n{{ if true }}", "line 2: a block without an end");
	refused("{{ end }}", "end without a block");
	refused("{{ else }}", "else without a block");
	refused("{{ if 1 }}{{ else }}{{ else }}{{ end }}", "nothing may follow");
	refused("{{ if 1 }}{{ else what }}{{ end }}", "else is followed by");
	refused("{{ break }}", "belong into a range");
	refused("{{ range \"text\" }}{{ end }}", "range wants a list");
	refused("{{ if }}{{ end }}", "a value is missing");
	refused("{{ range loop 2000000 }}x{{ end }}", "loop is too long");
	refused("{{ range loop 1000000 }}{{ range loop 100000 }}x{{ end }}{{ end }}", "too many steps");
	refused("{{ $x := \"aaaaaaaaaaaaaaaa\" }}{{ range loop 100 }}{{ $x = print $x $x }}{{ end }}", "too much");
}

static void a_rendered_file_can_be_variables(void **state)
{
	static const char text[] = "# comment\n\nA=1\nexport B = x \nC=\"quoted = yes\"\nA=2\nD=";
	struct arena mem = {0};
	struct map map;

	(void)state;
	assert_int_equal(template_variables(text, strlen(text), &map, &mem, why), 0);
	assert_int_equal(map.n, 4);
	assert_string_equal(map_find(&map, "A"), "2");
	assert_string_equal(map_find(&map, "C"), "quoted = yes");
	assert_string_equal(map_find(&map, "D"), "");
	assert_int_equal(template_variables("A=1\nnothing", 11, &map, &mem, why), ERR_INVALID);
	assert_string_equal(why, "line 2 is not KEY=value");
	arena_close(&mem);
}

/* ---- what the cluster tells ---- */

static const struct template_answer answers[] = {
        {"/v1/var/nomad/jobs/web?namespace=default", 200,
         "{\"Namespace\":\"default\",\"Path\":\"nomad/jobs/web\",\"ModifyIndex\":7,"
         "\"Items\":{\"pass\":\"x=1\",\"user\":\"me\",\"Keys\":\"own\"}}",
         0},
        {"/v1/var/gone?namespace=default", 404, "variable not found", 0},
        {"/v1/vars?prefix=nomad/&namespace=default", 200,
         "[{\"Namespace\":\"default\",\"Path\":\"nomad/jobs/a\"},{\"Namespace\":\"default\",\"Path\":\"nomad/jobs/b\"}]", 0},
        {"/v1/vars?prefix=none&namespace=default", 200, "[]", 0},
        {"/v1/service/db?namespace=default", 200,
         "[{\"ServiceName\":\"db\",\"Address\":\"10.0.0.1\",\"Port\":5432,\"Tags\":[\"main\"],\"NodeID\":\"n1\"},"
         "{\"ServiceName\":\"db\",\"Address\":\"10.0.0.2\",\"Port\":5433,\"Tags\":null,\"NodeID\":\"n2\"}]",
         0},
        {"/v1/service/db?namespace=default&choose=1%7Cmy%20key", 200,
         "[{\"ServiceName\":\"db\",\"Address\":\"10.0.0.2\",\"Port\":5433}]", 0},
        {"/v1/services?namespace=default", 200,
         "[{\"Namespace\":\"default\",\"Services\":[{\"ServiceName\":\"db\",\"Tags\":[\"main\"]},{\"ServiceName\":\"web\",\"Tags\":[]}]}]",
         0},
};

enum { ANSWERS = sizeof(answers) / sizeof(answers[0]) };

/* Render with the first `known` answers; what is wanted stays in `data`. */
static int ask_cluster(const char *text, uint32_t known, bool strict, struct template_data *data, struct buf *out)
{
	static struct template_answer with_length[ANSWERS];
	struct template_args args = {.left = "", .right = "", .env = &env, .data = data, .error_on_missing_key = strict};

	for (uint32_t i = 0; i < ANSWERS; i++) {
		with_length[i] = answers[i];
		with_length[i].len = strlen(answers[i].body);
	}
	data->known = with_length;
	data->n_known = known;
	data->namespace_ = "default";
	data->region = "global";
	data->n_wants = 0;
	return template_render(text, strlen(text), &args, out, why);
}

static void tells(const char *text, const char *want)
{
	struct arena mem = {0};
	struct template_data data = {.mem = &mem};
	struct buf out = {0};

	if (ask_cluster(text, ANSWERS, true, &data, &out) != 0) {
		fail_msg("%s: %s", text, why);
	}
	assert_string_equal(buf_text(&out), want);
	buf_close(&out);
	arena_close(&mem);
}

static void cluster_refuses(const char *text, bool strict, int rc, const char *reason)
{
	struct arena mem = {0};
	struct template_data data = {.mem = &mem};
	struct buf out = {0};

	assert_int_equal(ask_cluster(text, ANSWERS, strict, &data, &out), rc);
	if (rc == ERR_INVALID && strstr(why, reason) == NULL) {
		fail_msg("%s: %s, not %s", text, why, reason);
	}
	if (rc == ERR_BUSY) {
		assert_true(data.wants[data.n_wants - 1].missing);
		assert_string_equal(data.wants[data.n_wants - 1].name, reason);
	}
	buf_close(&out);
	arena_close(&mem);
}

static void variables_are_maps_of_their_items(void **state)
{
	(void)state;
	tells("{{ with nomadVar \"nomad/jobs/web\" }}{{ .user }}:{{ .pass }}{{ end }}", "me:x=1");
	tells("{{ with nomadVar \"/nomad/jobs/web@default.global\" }}{{ .user }}{{ end }}", "me");
	tells("{{ (nomadVar \"nomad/jobs/web\").user }}", "me");
	tells("{{ range $k, $v := nomadVar \"nomad/jobs/web\" }}{{ $k }}={{ $v }};{{ end }}", "Keys=own;pass=x=1;user=me;");
	tells("{{ with nomadVar \"nomad/jobs/web\" }}{{ range .Tuples }}{{ .K }}={{ .V }};{{ end }}{{ end }}",
	      "Keys=own;pass=x=1;user=me;");
	tells("{{ with nomadVar \"nomad/jobs/web\" }}{{ .Keys }} {{ .Values }} {{ .Metadata.Path }} {{ .Parent.ModifyIndex }}"
	      "{{ end }}",
	      "[Keys pass user] [own x=1 me] nomad/jobs/web 7");
	tells("{{ with nomadVar \"nomad/jobs/web\" }}{{ index . \"user\" }}{{ end }}", "me");
	tells("{{ nomadVarExists \"gone\" }} {{ nomadVarExists \"nomad/jobs/web\" }}", "false true");
	tells("{{ range nomadVarList \"nomad/\" }}{{ . }} {{ .Path }};{{ end }}",
	      "nomad/jobs/a nomad/jobs/a;nomad/jobs/b nomad/jobs/b;");
	tells("{{ range nomadVarList \"none\" }}x{{ else }}nothing{{ end }}", "nothing");
	tells("{{ range nomadVarListSafe \"nomad/\" }}{{ .Path }};{{ end }}", "nomad/jobs/a;nomad/jobs/b;");
}

static void services_are_lists_of_places(void **state)
{
	(void)state;
	tells("{{ range nomadService \"db\" }}{{ .Name }}={{ .Address }}:{{ .Port }}@{{ .Node }};{{ end }}",
	      "db=10.0.0.1:5432@n1;db=10.0.0.2:5433@n2;");
	tells("{{ range nomadService \"main.db\" }}{{ .Address }};{{ end }}", "10.0.0.1;");
	tells("{{ range nomadService \"mai.db\" }}{{ .Address }};{{ end }}", "");
	tells("{{ range nomadService 1 \"my key\" \"db@global\" }}{{ .Address }};{{ end }}", "10.0.0.2;");
	tells("{{ range nomadServices }}{{ .Name }}{{ .Tags }};{{ end }}", "db[main];web[];");
}

static void what_is_missing_is_named_and_nothing_comes_out(void **state)
{
	struct arena mem = {0};
	struct template_data data = {.mem = &mem};
	struct buf out = {0};

	(void)state;
	cluster_refuses("{{ with nomadVar \"gone\" }}{{ .x }}{{ end }}", false, ERR_BUSY,
	                "nomad.var.block(gone@default.global)");
	cluster_refuses("{{ (nomadVar \"gone\").x }}", true, ERR_BUSY, "nomad.var.block(gone@default.global)");
	cluster_refuses("{{ range nomadVarListSafe \"none\" }}{{ end }}", false, ERR_BUSY,
	                "nomad.var.list(none@default.global)");
	cluster_refuses("{{ nomadVarExists \"unknown\" }}", false, ERR_BUSY, "nomad.var.block(unknown@default.global)");
	cluster_refuses("{{ range nomadService \"unknown\" }}{{ end }}", false, ERR_BUSY, "nomad.service(unknown)");
	assert_int_equal(ask_cluster("{{ nomadVar \"a\" }}{{ nomadVar \"b\" }}{{ nomadVar \"a\" }}", 0, false, &data, &out),
	                 ERR_BUSY);
	assert_int_equal(data.n_wants, 2); /* All that can be known at once, each once. */
	assert_string_equal(data.wants[1].target, "/v1/var/b?namespace=default");
	buf_close(&out);
	arena_close(&mem);
}

static void bad_questions_are_refused(void **state)
{
	(void)state;
	cluster_refuses("{{ nomadVar \"a@other\" }}", false, ERR_INVALID, "its own namespace only");
	cluster_refuses("{{ nomadVar \"a@default.mars\" }}", false, ERR_INVALID, "only this region");
	cluster_refuses("{{ nomadService \"db@mars\" }}", false, ERR_INVALID, "only this region");
	cluster_refuses("{{ nomadVar \"/\" }}", false, ERR_INVALID, "wants a path");
	cluster_refuses("{{ nomadService 2 \"db\" }}", false, ERR_INVALID, "how many, a key");
	cluster_refuses("{{ nomadService \"a/b\" }}", false, ERR_INVALID, "a service's name");
	cluster_refuses("{{ range loop 200 }}{{ nomadVarExists (printf \"a%d\" .) }}{{ end }}", false, ERR_BUSY,
	                "nomad.var.block(a127@default.global)");
}

static void a_key_that_is_missing_is_an_error_if_that_is_asked_for(void **state)
{
	(void)state;
	cluster_refuses("{{ with nomadVar \"nomad/jobs/web\" }}{{ .other }}{{ end }}", true, ERR_INVALID,
	                "map has no entry for key \"other\"");
	cluster_refuses("{{ with nomadVar \"nomad/jobs/web\" }}{{ index . \"other\" }}{{ end }}", true, ERR_INVALID,
	                "map has no entry for key \"other\"");
	renders("{{ with parseJSON `{\"a\":1}` }}{{ .b }}{{ end }}", "<no value>");
}

/* Of services the namespace says all. */
static void what_is_asked_for_a_task_says_so(void **state)
{
	static const char text[] = "{{ with nomadVar \"a\" }}{{ end }}{{ nomadVarExists \"b\" }}{{ nomadVarListSafe }}{{ nomadService \"c\" }}";
	struct arena mem = {0};
	struct template_data data = {.mem = &mem, .workload = "8f2e/t&u"};
	struct buf out = {0};

	(void)state;
	assert_int_equal(ask_cluster(text, 0, false, &data, &out), ERR_BUSY);
	assert_int_equal(data.n_wants, 4);
	assert_string_equal(data.wants[0].target, "/v1/var/a?namespace=default&task=8f2e/t%26u");
	assert_string_equal(data.wants[1].target, "/v1/var/b?namespace=default&task=8f2e/t%26u");
	assert_string_equal(data.wants[2].target, "/v1/vars?prefix=&namespace=default&task=8f2e/t%26u");
	assert_string_equal(data.wants[3].target, "/v1/service/c?namespace=default");
	buf_close(&out);
	arena_close(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(text_without_actions_goes_through),
	        cmocka_unit_test(variables_and_strings_are_put_in),
	        cmocka_unit_test(values_go_through_functions),
	        cmocka_unit_test(dashes_take_the_space_away),
	        cmocka_unit_test(other_delimiters_can_be_chosen),
	        cmocka_unit_test(variables_are_maps_of_their_items),
	        cmocka_unit_test(services_are_lists_of_places),
	        cmocka_unit_test(what_is_missing_is_named_and_nothing_comes_out),
	        cmocka_unit_test(bad_questions_are_refused),
	        cmocka_unit_test(a_key_that_is_missing_is_an_error_if_that_is_asked_for),
	        cmocka_unit_test(what_is_not_known_is_named),
	        cmocka_unit_test(blocks_depend_on_conditions),
	        cmocka_unit_test(ranges_go_over_lists_maps_and_numbers),
	        cmocka_unit_test(variables_live_in_their_block),
	        cmocka_unit_test(functions_do_what_their_names_say),
	        cmocka_unit_test(blocks_that_do_not_fit_are_refused),
	        cmocka_unit_test(a_rendered_file_can_be_variables),
	        cmocka_unit_test(what_is_asked_for_a_task_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
