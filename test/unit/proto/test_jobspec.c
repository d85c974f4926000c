#include "test/unit/unit.h"

#include "proto/error.h"
#include "proto/hcl_eval.h"
#include "proto/jobspec.h"

static struct arena mem;
static struct job job;
static const char *variables;
static const char *faults;

static int set_up(void **state)
{
	(void)state;
	variables = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_close(&mem);
	return 0;
}

static int parse(const char *text)
{
	struct buf why = {0};
	const struct jobspec_source source = {
		.text = text,
		.len = strlen(text),
		.name = "job.hcl",
		.variables = variables,
		.variables_len = variables != NULL ? strlen(variables) : 0,
		.variables_name = "job.vars",
	};
	int rv = jobspec_parse(&source, &mem, &job, &why);

	faults = arena_strdup(&mem, buf_text(&why));
	buf_close(&why);
	assert_int_equal(rv == 0, faults[0] == '\0');
	return rv;
}

static void parse_good(const char *text)
{
	if (parse(text) != 0) {
		fail_msg("%s in:\n%s", faults, text);
	}
}

static void check_fault(const char *text, const char *want)
{
	assert_int_equal(parse(text), ERR_INVALID);
	assert_string_equal(faults, want);
}

static const char *json(const struct type *t, const void *obj)
{
	struct buf out = {0};
	const char *text;

	json_encode_given(t, obj, &out);
	text = arena_strdup(&mem, buf_text(&out));
	buf_close(&out);
	return text;
}

/* A value that an expression has in a job file, as JSON. */
static const char *value_of(const char *expression)
{
	parse_good(arena_printf(&mem, "job \"j\" { group \"g\" { task \"t\" { config { v = %s\n } } } }", expression));
	return job.task_groups.at[0].tasks.at[0].config;
}

#define check_value(expression, want) assert_string_equal(value_of(expression), "{\"v\":" want "}")

#define CASE(name) static void name(void **state __attribute__((unused)))

/* ---- blocks ---- */

static const char whole_job[] =
	"job \"web\" {\n"
	"  region = \"eu\"\n  namespace = \"prod\"\n  type = \"service\"\n  priority = 70\n  all_at_once = true\n"
	"  datacenters = [\"dc1\", \"dc2\"]\n  node_pool = \"big\"\n"
	"  meta { owner = \"x\"\n level = 3 }\n"
	"  constraint { attribute = \"${attr.kernel.name}\"\n value = \"linux\" }\n"
	"  constraint { distinct_hosts = true }\n"
	"  affinity { attribute = \"${node.datacenter}\"\n value = \"dc1\"\n weight = 80 }\n"
	"  spread { attribute = \"${node.datacenter}\"\n weight = 90\n target \"dc1\" { percent = 60 } }\n"
	"  update { max_parallel = 2\n min_healthy_time = \"15s\"\n auto_revert = true\n canary = 1 }\n"
	"  ui { description = \"d\"\n link { label = \"l\"\n url = \"http://x\" } }\n"
	"  group \"front\" {\n"
	"    count = 3\n    shutdown_delay = \"5s\"\n"
	"    network { mode = \"bridge\"\n port \"http\" { static = 80\n to = 8080 }\n port \"db\" {}\n"
	"      dns { servers = [\"1.1.1.1\"] } }\n"
	"    restart { attempts = 4\n interval = \"10m\"\n delay = \"25s\"\n mode = \"delay\" }\n"
	"    reschedule { delay = \"40s\"\n unlimited = true }\n"
	"    migrate { max_parallel = 3 }\n"
	"    disconnect { lost_after = \"6h\"\n replace = false }\n"
	"    ephemeral_disk { size = 500\n sticky = true\n migrate = true }\n"
	"    volume \"data\" { type = \"host\"\n source = \"disk\"\n read_only = true }\n"
	"    scaling { enabled = true\n min = 1\n max = 9\n policy { cooldown = \"1m\"\n"
	"      check \"cpu\" { query = \"q\"\n strategy \"target-value\" { target = 70 } } } }\n"
	"    service { name = \"web\"\n port = \"http\"\n provider = \"nomad\"\n tags = [\"a\"]\n meta { k = \"v\" }\n"
	"      check { type = \"http\"\n path = \"/up\"\n interval = \"10s\"\n timeout = \"2s\"\n"
	"        header { Accept = [\"x\"] }\n check_restart { limit = 3\n grace = \"90s\" } } }\n"
	"    task \"server\" {\n"
	"      driver = \"docker\"\n      user = \"nobody\"\n      leader = true\n      kill_timeout = \"20s\"\n"
	"      kill_signal = \"SIGINT\"\n"
	"      lifecycle { hook = \"prestart\"\n sidecar = true }\n"
	"      config { image = \"web:1\"\n ports = [\"http\"]\n mount { type = \"bind\" }\n"
	"        mount { type = \"tmpfs\" } }\n"
	"      env { PORT = \"${NOMAD_PORT_http}\"\n N = 5 }\n"
	"      resources { cpu = 500\n memory = 256\n memory_max = 512\n"
	"        device \"nvidia/gpu\" { count = 2\n"
	"          constraint { attribute = \"${device.attr.memory}\"\n operator = \">\"\n value = \"2 GiB\" } } }\n"
	"      logs { max_files = 3\n max_file_size = 5 }\n"
	"      artifact { source = \"http://x/y\"\n destination = \"local/\"\n options { checksum = \"md5:0\" } }\n"
	"      template { data = <<EOT\nA={{ env \"B\" }}\nEOT\n destination = \"local/f\"\n env = true\n"
	"        splay = \"3s\" }\n"
	"      vault { policies = [\"p\"] }\n"
	"      volume_mount { volume = \"data\"\n destination = \"/data\" }\n"
	"      identity { aud = [\"a\"] }\n"
	"      identity { name = \"second\"\n file = true\n ttl = \"1h\" }\n"
	"      action \"hello\" { command = \"/bin/echo\"\n args = [\"hi\"] }\n"
	"      secret \"s\" { provider = \"nomad\"\n path = \"a/b\" }\n"
	"      scaling \"cpu\" { min = 100\n max = 500\n policy {} }\n"
	"    }\n"
	"  }\n"
	"}\n";

CASE(a_job_has_what_its_blocks_say)
{
	parse_good(whole_job);
	assert_string_equal(job.id, "web");
	assert_string_equal(job.name, "web");
	assert_string_equal(job.region, "eu");
	assert_string_equal(job.namespace_, "prod");
	assert_int_equal(job.priority, 70);
	assert_true(job.all_at_once);
	assert_int_equal(job.datacenters.n, 2);
	assert_string_equal(job.meta.at[0].key, "level");
	assert_string_equal(job.meta.at[0].value, "3");
	assert_string_equal(json(&constraint_type, &job.constraints.at[0]),
			    "{\"LTarget\":\"${attr.kernel.name}\",\"RTarget\":\"linux\",\"Operand\":\"=\"}");
	assert_string_equal(job.constraints.at[1].operand, "distinct_hosts");
	assert_int_equal(job.affinities.at[0].weight, 80);
	assert_string_equal(job.spreads.at[0].targets.at[0].value, "dc1");
	assert_int_equal(job.update->max_parallel.at, 2);
	assert_int_equal(job.update->min_healthy_time.at, 15 * NS_PER_S);
	assert_false(job.update->healthy_deadline.set);
	assert_string_equal(job.ui->links.at[0].url, "http://x");
}

CASE(a_group_has_what_its_blocks_say)
{
	const struct task_group *g;

	parse_good(whole_job);
	g = &job.task_groups.at[0];
	assert_string_equal(g->name, "front");
	assert_int_equal(g->count, 3);
	assert_int_equal(g->shutdown_delay.at, 5 * NS_PER_S);
	assert_int_equal(g->networks.at[0].reserved_ports.n, 1);
	assert_int_equal(g->networks.at[0].reserved_ports.at[0].to, 8080);
	assert_int_equal(g->networks.at[0].dynamic_ports.n, 1);
	assert_string_equal(g->networks.at[0].dynamic_ports.at[0].label, "db");
	assert_string_equal(g->networks.at[0].dns->servers.at[0], "1.1.1.1");
	assert_int_equal(g->restart_policy->interval.at, 10 * NS_PER_MIN);
	assert_true(g->reschedule_policy->unlimited.at != 0);
	assert_int_equal(g->migrate->max_parallel.at, 3);
	assert_int_equal(g->disconnect->lost_after.at, 360 * NS_PER_MIN);
	assert_int_equal(g->ephemeral_disk->size_mb, 500);
	assert_string_equal(g->volumes.keys[0], "data");
	assert_string_equal(g->volumes.at[0].source, "disk");
	assert_string_equal(g->scaling->policy,
			    "{\"check\":[{\"cpu\":[{\"query\":\"q\","
			    "\"strategy\":[{\"target-value\":[{\"target\":70}]}]}]}],\"cooldown\":\"1m\"}");
	assert_string_equal(g->services.at[0].checks.at[0].header, "{\"Accept\":[\"x\"]}");
	assert_int_equal(g->services.at[0].checks.at[0].check_restart->grace.at, 90 * NS_PER_S);
}

CASE(a_task_has_what_its_blocks_say)
{
	const struct task *t;

	parse_good(whole_job);
	t = &job.task_groups.at[0].tasks.at[0];
	assert_string_equal(t->driver, "docker");
	assert_true(t->leader);
	assert_int_equal(t->kill_timeout.at, 20 * NS_PER_S);
	assert_string_equal(t->lifecycle->hook, "prestart");
	assert_string_equal(t->config, "{\"image\":\"web:1\",\"mount\":[{\"type\":\"bind\"},{\"type\":\"tmpfs\"}],"
				       "\"ports\":[\"http\"]}");
	assert_string_equal(t->env.at[0].value, "5");
	assert_string_equal(t->env.at[1].value, "${NOMAD_PORT_http}");
	assert_int_equal(t->resources->memory_max_mb, 512);
	assert_string_equal(t->resources->devices.at[0].name, "nvidia/gpu");
	assert_string_equal(t->resources->devices.at[0].constraints.at[0].operand, ">");
	assert_int_equal(t->log_config->max_file_size_mb, 5);
	assert_string_equal(t->artifacts.at[0].getter_options.at[0].value, "md5:0");
	assert_string_equal(t->templates.at[0].embedded_tmpl, "A={{ env \"B\" }}\n");
	assert_true(t->templates.at[0].envvars);
	assert_string_equal(t->vault->policies.at[0], "p");
	assert_string_equal(t->volume_mounts.at[0].destination, "/data");
	assert_string_equal(t->identity->audience.at[0], "a");
	assert_int_equal(t->identities.n, 1);
	assert_string_equal(t->identities.at[0].name, "second");
	assert_int_equal(t->identities.at[0].ttl, 60 * NS_PER_MIN);
	assert_string_equal(t->actions.at[0].args.at[0], "hi");
	assert_string_equal(t->secrets.at[0].name, "s");
	assert_string_equal(t->scaling_policies.at[0].type, "cpu");
}

/* A file that is parsed, sent as JSON and completed there is the same job as one that is completed at once. */
CASE(json_in_between_changes_nothing)
{
	struct fault fault = {"", ""};
	struct job again;
	const char *text;

	parse_good(whole_job);
	text = json(&job_type, &job);
	assert_int_equal(json_decode(&job_type, &again, text, strlen(text), &mem, &fault), 0);
	assert_int_equal(job_canonicalize(&job, &mem), 0);
	assert_int_equal(job_canonicalize(&again, &mem), 0);
	assert_true(object_equal(&job_type, &job, &again));
}

CASE(what_is_not_said_is_left_open)
{
	const char *text;

	parse_good("job \"a\" { group \"g\" { task \"t\" {} } }");
	text = json(&job_type, &job);
	assert_non_null(strstr(text, "\"Region\":null,\"Namespace\":null,\"Type\":null,"));
	assert_non_null(strstr(text, "\"NodePool\":null,"));
	assert_non_null(strstr(text, "\"Count\":1,"));
	assert_non_null(strstr(text, "\"RestartPolicy\":null,"));
	parse_good("job \"a\" { namespace = \"default\" }");
	assert_non_null(strstr(json(&job_type, &job), "\"Namespace\":\"default\","));
}

CASE(batch_jobs_have_their_kinds)
{
	parse_good("job \"a\" {\n type = \"batch\"\n periodic { cron = \"*/5 * * * *\"\n prohibit_overlap = true\n"
		   " time_zone = \"Europe/Berlin\" }\n"
		   " parameterized { payload = \"required\"\n meta_required = [\"a\"]\n meta_optional = [\"b\"] }\n"
		   " group \"g\" { task \"t\" { dispatch_payload { file = \"in\" } } } }");
	assert_string_equal(job.periodic->spec, "*/5 * * * *");
	assert_true(job.periodic->enabled);
	assert_string_equal(job.parameterized->meta_required.at[0], "a");
	assert_string_equal(job.task_groups.at[0].tasks.at[0].dispatch_payload->file, "in");
	parse_good("job \"a\" { periodic { crons = [\"@daily\", \"@hourly\"] } }");
	assert_int_equal(job.periodic->specs.n, 2);
}

CASE(constraints_have_short_forms)
{
	parse_good("job \"a\" {\n constraint { attribute = \"${a}\"\n regexp = \"^x\" }\n"
		   " constraint { attribute = \"${a}\"\n version = \">= 1\" }\n"
		   " constraint { distinct_property = \"${meta.rack}\"\n value = 2 }\n"
		   " constraint { distinct_hosts = false }\n"
		   " constraint { attribute = \"${a}\"\n operator = \"is_set\" }\n"
		   " affinity { attribute = \"${a}\"\n set_contains_any = \"x,y\" } }");
	assert_int_equal(job.constraints.n, 4);
	assert_string_equal(json(&constraint_type, &job.constraints.at[0]),
			    "{\"LTarget\":\"${a}\",\"RTarget\":\"^x\",\"Operand\":\"regexp\"}");
	assert_string_equal(job.constraints.at[1].operand, "version");
	assert_string_equal(json(&constraint_type, &job.constraints.at[2]),
			    "{\"LTarget\":\"${meta.rack}\",\"RTarget\":\"2\",\"Operand\":\"distinct_property\"}");
	assert_string_equal(job.constraints.at[3].operand, "is_set");
	assert_string_equal(job.affinities.at[0].operand, "set_contains_any");
}

CASE(tasks_inherit_and_get_groups)
{
	parse_good("job \"a\" {\n vault { role = \"j\" }\n task \"alone\" { driver = \"exec\" }\n"
		   " group \"g\" { vault { role = \"g\" }\n task \"t\" {}\n task \"u\" { vault { role = \"u\" } } } }");
	assert_int_equal(job.task_groups.n, 2);
	assert_string_equal(job.task_groups.at[0].name, "alone");
	assert_string_equal(job.task_groups.at[0].tasks.at[0].driver, "exec");
	assert_string_equal(job.task_groups.at[0].tasks.at[0].vault->role, "j");
	assert_string_equal(job.task_groups.at[1].tasks.at[0].vault->role, "g");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].vault->role, "u");
}

CASE(a_job_may_have_another_name_and_id)
{
	parse_good("job \"a\" { name = \"b\" }");
	assert_string_equal(job.id, "a");
	assert_string_equal(job.name, "b");
	parse_good("job \"a\" { id = \"c\" }");
	assert_string_equal(job.id, "c");
	assert_string_equal(job.name, "c");
}

CASE(durations_are_texts_or_nanoseconds)
{
	parse_good("job \"a\" { group \"g\" { task \"t\" {\n kill_timeout = 5000000000\n"
		   " shutdown_delay = \"1m30s\" } } }");
	assert_int_equal(job.task_groups.at[0].tasks.at[0].kill_timeout.at, 5 * NS_PER_S);
	assert_int_equal(job.task_groups.at[0].tasks.at[0].shutdown_delay, 90 * NS_PER_S);
}

/* ---- faults ---- */

CASE(faults_name_file_line_and_column)
{
	check_fault("job \"a\" {\n  group \"g\" {\n    count = \"many\"\n    colour = 1\n  }\n}",
		    "job.hcl:3,13: group.g.count must be a whole number, not \"many\"\n"
		    "job.hcl:4,5: group.g.colour is not known here");
	check_fault("job \"a\" {\n  group \"g\" {\n", "job.hcl:3,1: expected }, not the end of the text");
	check_fault("", "job.hcl:1,1: a job block is missing: job \"name\" {");
	check_fault("job {}", "job.hcl:1,1: job needs one label: job \"name\" {");
	check_fault("job \"a\" {}\njob \"b\" {}", "job.hcl:2,1: a second job: a job file has one");
	check_fault("x = 1\njob \"a\" {}",
		    "job.hcl:1,1: x is not known here: a job file has variable, locals and job blocks");
	check_fault("job \"a\" {\n group {}\n}", "job.hcl:2,2: group needs one label: group \"name\" {");
	check_fault("job \"a\" {\n stop = true\n}", "job.hcl:2,2: stop is not known here");
	check_fault("job \"a\" {\n group \"g\" { network { reserved_ports \"x\" {} } }\n}",
		    "job.hcl:2,24: reserved_ports is not known here");
	check_fault("job \"a\" {\n group \"g\" {}\n group \"g\" {}\n}", "job.hcl:3,2: group.g is given twice");
	check_fault("job \"a\" {\n type = nope()\n}", "job.hcl:2,9: type: unknown function \"nope\"");
	check_fault("job \"a\" {\n constraint { distinct_hosts = 7 }\n}",
		    "job.hcl:2,32: a bool is needed here, not a number");
}

CASE(faults_are_told_in_the_order_of_the_text_and_not_without_end)
{
	struct buf text = {0};
	int i;

	buf_str(&text, "job \"a\" {\n");
	for (i = 0; i < 200; i++) {
		buf_printf(&text, "x%d = 1\n", i);
	}
	buf_str(&text, "}");
	assert_int_equal(parse(buf_text(&text)), ERR_INVALID);
	assert_non_null(strstr(faults, "job.hcl:21,1: x19 is not known here\nand 180 more"));
	buf_close(&text);
}

/* ---- names ---- */

CASE(variables_have_defaults_and_values)
{
	const char *text = "variable \"n\" {\n type = number\n default = 2\n}\n"
			   "variable \"img\" {\n description = \"d\"\n}\n"
			   "job \"a\" { group \"g\" { count = var.n\n task \"t\" { driver = var.img } } }";

	variables = "img = \"exec\"\nother = 1\n";
	parse_good(text);
	assert_int_equal(job.task_groups.at[0].count, 2);
	assert_string_equal(job.task_groups.at[0].tasks.at[0].driver, "exec");
	variables = "n = \"5\"\nimg = \"exec\"\n";
	parse_good(text);
	assert_int_equal(job.task_groups.at[0].count, 5);
	variables = "n = \"five\"\nimg = \"exec\"\n";
	check_fault(text, "job.vars:1,5: the value of variable \"n\": number is needed, not a string");
	variables = "n = 1";
	check_fault(text, "job.hcl:5,1: unset variable \"img\": a variable must be given a value or have a default");
	variables = "n = ";
	check_fault(text, "job.vars:1,5: expected an expression, not the end of the text");
	variables = NULL;
	check_fault("variable \"a\" { default = 1 }\nvariable \"a\" { default = 1 }\njob \"a\" {}",
		    "job.hcl:2,1: variable \"a\" is declared twice");
	check_fault("variable \"a\" {\n default = var.b\n}\njob \"a\" {}",
		    "job.hcl:2,12: unknown variable \"var\"; a text stands in quotes");
	check_fault("variable \"a\" { defualt = 1 }\njob \"a\" {}",
		    "job.hcl:1,1: unset variable \"a\": a variable must be given a value or have a default\n"
		    "job.hcl:1,16: variable.a.defualt is not known here");
	check_fault("job \"a\" {\n type = var.nothing\n}", "job.hcl:2,12: type: the object has no member \"nothing\"");
	check_fault("job \"a\" {\n type = \"${var.nothing}\"\n}",
		    "job.hcl:2,15: type: the object has no member \"nothing\"");
}

static const char *typed(const char *type, const char *value)
{
	if (parse(arena_printf(&mem, "variable \"x\" { type = %s\n default = %s }\n"
				     "job \"j\" { group \"g\" { task \"t\" { config { v = var.x } } } }",
			       type, value)) != 0) {
		return faults;
	}
	return job.task_groups.at[0].tasks.at[0].config;
}

CASE(variables_have_types)
{
	assert_string_equal(typed("string", "5"), "{\"v\":\"5\"}");
	assert_string_equal(typed("\"string\"", "5"), "{\"v\":\"5\"}");
	assert_string_equal(typed("bool", "\"true\""), "{\"v\":true}");
	assert_string_equal(typed("any", "[1]"), "{\"v\":[1]}");
	assert_string_equal(typed("list(string)", "[1, true]"), "{\"v\":[\"1\",\"true\"]}");
	assert_string_equal(typed("set(number)", "[3, 1, \"3\"]"), "{\"v\":[1,3]}");
	assert_string_equal(typed("map(number)", "{a = \"1\"}"), "{\"v\":{\"a\":1}}");
	assert_string_equal(typed("tuple([string, number])", "[1, \"2\"]"), "{\"v\":[\"1\",2]}");
	assert_string_equal(typed("object({a = number, b = optional(string, \"x\"), c = optional(bool)})",
				  "{a = \"1\", z = 2}"),
			    "{\"v\":{\"a\":1,\"b\":\"x\",\"c\":null}}");
	assert_string_equal(typed("list(string)", "\"[1, 2]\""), "{\"v\":[\"1\",\"2\"]}");
	assert_string_equal(typed("list(number)", "[\"x\"]"),
			    "job.hcl:2,12: the value of variable \"x\": number is needed, not a string");
	assert_non_null(strstr(typed("object({a = number})", "{}"), "the member \"a\" is missing"));
	assert_non_null(strstr(typed("tuple([string])", "[]"), "a list of 1 elements is needed"));
	assert_non_null(strstr(typed("whatever", "1"), "unknown type \"whatever\""));
	assert_non_null(strstr(typed("1", "1"), "a type is needed here"));
}

CASE(variables_can_be_validated)
{
	const char *text = "variable \"n\" {\n validation {\n condition = var.n > 2\n"
			   " error_message = \"n is ${var.n}, and must be more than 2.\"\n }\n}\njob \"a\" {}";

	variables = "n = 3";
	parse_good(text);
	variables = "n = 2";
	check_fault(text, "job.hcl:3,20: invalid value for variable \"n\": n is 2, and must be more than 2.");
	check_fault("variable \"n\" {\n default = 1\n validation {}\n}\njob \"a\" {}",
		    "job.hcl:3,2: validation needs a condition and an error_message");
}

CASE(locals_are_made_of_each_other_in_any_order)
{
	parse_good("variable \"x\" { default = 1 }\nlocals {\n a = \"${local.b}-${local[\"c\"]}\"\n b = var.x + 1 }\n"
		   "locals { c = local.b * 2 }\njob \"j\" { name = local.a }");
	assert_string_equal(job.name, "2-4");
	check_fault("locals {\n a = local.b\n b = local.a\n}\njob \"j\" {}",
		    "job.hcl:2,2: local \"a\" is made of itself");
	check_fault("locals { a = 1 }\nlocals { a = 2 }\njob \"j\" {}", "job.hcl:2,10: local \"a\" is given twice");
	check_fault("locals {\n b {}\n}\njob \"j\" {}", "job.hcl:2,2: locals have no blocks");
}

CASE(a_chain_of_locals_has_an_end)
{
	struct buf text = {0};
	int i;

	buf_str(&text, "locals {\n");
	for (i = 0; i < 100; i++) {
		buf_printf(&text, "l%d = local.l%d\n", i, i + 1);
	}
	buf_str(&text, "l100 = 1\n}\njob \"a\" {}");
	assert_int_equal(parse(buf_text(&text)), ERR_INVALID);
	assert_non_null(strstr(faults, "local \"l64\" ends a chain of more than 64 locals"));
	buf_close(&text);
}

CASE(what_nodes_know_stays_text)
{
	check_value("\"${attr.cpu.arch}/${NOMAD_ALLOC_ID} ${meta[\"x\"]}\"",
		    "\"${attr.cpu.arch}/${NOMAD_ALLOC_ID} ${meta[\\\"x\\\"]}\"");
	check_value("attr.kernel.name", "\"${attr.kernel.name}\"");
	check_value("\"$${x} %%{y}\"", "\"${x} %{y}\"");
	check_value("node.unique.id == \"x\" ? 1 : 2", "2");
}

CASE(expressions_are_evaluated)
{
	check_value("[for i in [1, 2]: i * 2 if i > 1]", "[4]");
	check_value("{for k, v in {a = 1}: k => v + 1}", "{\"a\":2}");
	check_value("\"%{ for x in [1, 2] }<${x}>%{ endfor }\"", "\"<1><2>\"");
	check_value("true ? \"a\" : \"b\"", "\"a\"");
	check_value("[{a = 1}, {a = 2}][*].a", "[1,2]");
	check_value("<<-X\n    a\n      b\n    X", "\"a\\n  b\\n\"");
	check_value("try(local.none, \"x\")", "\"x\"");
	check_value("can(var.none)", "false");
}

/* ---- dynamic blocks ---- */

CASE(dynamic_blocks_stand_for_many)
{
	const struct network_resource *n;

	parse_good("locals { ports = {http = 80, admin = 0} }\njob \"a\" { group \"g\" { network {\n"
		   " dynamic \"port\" {\n for_each = local.ports\n labels = [port.key]\n"
		   " content { static = port.value\n to = port.value + 1 } }\n"
		   " port \"last\" {} } } }");
	n = &job.task_groups.at[0].networks.at[0];
	assert_int_equal(n->reserved_ports.n, 1);
	assert_string_equal(n->reserved_ports.at[0].label, "http");
	assert_int_equal(n->reserved_ports.at[0].to, 81);
	assert_int_equal(n->dynamic_ports.n, 2);
	assert_string_equal(n->dynamic_ports.at[0].label, "admin");
	assert_string_equal(n->dynamic_ports.at[1].label, "last");
}

CASE(dynamic_blocks_nest)
{
	parse_good("job \"a\" { dynamic \"group\" {\n for_each = [\"x\", \"y\"]\n iterator = g\n"
		   " labels = [\"g-${g.value}\"]\n"
		   " content {\n count = g.key + 1\n"
		   " dynamic \"task\" {\n for_each = [g.value, \"z\"]\n labels = [task.value]\n"
		   " content { env { G = g.value\n I = \"${meta[g.value]}\"\n L = [for g in [1]: \"n${g}\"][0] }\n"
		   " constraint { attribute = \"${x}\"\n version = task.value } } } } } }");
	assert_int_equal(job.task_groups.n, 2);
	assert_string_equal(job.task_groups.at[1].name, "g-y");
	assert_int_equal(job.task_groups.at[1].count, 2);
	assert_string_equal(job.task_groups.at[1].tasks.at[0].name, "y");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].name, "z");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].env.at[0].value, "y");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].env.at[1].value, "${meta[\"y\"]}");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].env.at[2].value, "n1");
	assert_string_equal(job.task_groups.at[1].tasks.at[1].constraints.at[0].r_target, "z");
}

CASE(dynamic_blocks_work_where_anything_goes)
{
	parse_good("job \"a\" { task \"t\" { config { dynamic \"mount\" {\n for_each = [\"x\"]\n"
		   " content { source = mount.value } } } } }");
	assert_string_equal(job.task_groups.at[0].tasks.at[0].config, "{\"mount\":[{\"source\":\"x\"}]}");
}

CASE(dynamic_blocks_have_faults)
{
	check_fault("job \"a\" {\n dynamic \"group\" {\n for_each = 5\n content {}\n }\n}",
		    "job.hcl:3,13: for_each needs a list or an object, not a number");
	check_fault("job \"a\" {\n dynamic \"group\" { content {} }\n}",
		    "job.hcl:2,2: dynamic needs for_each and content {}");
	check_fault("job \"a\" {\n dynamic \"group\" { count = 1 }\n}",
		    "job.hcl:2,20: count does not belong here: dynamic has for_each, iterator, labels, content {}");
	check_fault("job \"a\" {\n dynamic \"group\" {\n for_each = [[]]\n labels = [group.value]\n content {}\n }\n}",
		    "job.hcl:4,2: a label must be a string, not a list");
}

/* ---- bounds ---- */

/* A list of 1001 zeros. */
static void put_zeros(struct buf *text)
{
	int i;

	buf_str(text, "locals { l = [0");
	for (i = 0; i < 1000; i++) {
		buf_str(text, ",0");
	}
	buf_str(text, "] }\njob \"a\" {\n");
}

/* A thousand times the expression, in a job that has local.l. */
static void check_too_large(const char *expression, const char *want)
{
	struct buf text = {0};
	int i;

	put_zeros(&text);
	buf_str(&text, "meta {\n");
	for (i = 0; i < 1000; i++) {
		buf_printf(&text, "x%d = %s\n", i, expression);
	}
	buf_str(&text, "} }");
	assert_int_equal(parse(buf_text(&text)), ERR_INVALID);
	if (strstr(faults, want) == NULL) {
		fail_msg("%s", faults);
	}
	buf_close(&text);
}

CASE(evaluation_is_bounded_for_the_whole_file)
{
	check_too_large("local.l == local.l && local.l == local.l", "the expression takes too many steps");
	check_too_large("[for a in local.l: [a, a]][0][0]", "the expression takes too many steps");
}

CASE(expansion_is_bounded)
{
	struct buf text = {0};

	put_zeros(&text);
	buf_str(&text, "dynamic \"group\" {\n for_each = local.l\n content { dynamic \"task\" {\n"
		       " for_each = local.l\n labels = [task.key]\n content {} } } } }");
	check_fault(buf_text(&text), "job.hcl:7,11: dynamic blocks make too large a job");
	buf_close(&text);
}

CASE(texts_are_bounded)
{
	char *text = arena_alloc(&mem, JOBSPEC_MAX_BYTES + 2);

	memset(text, ' ', JOBSPEC_MAX_BYTES + 1);
	text[JOBSPEC_MAX_BYTES + 1] = '\0';
	check_fault(text, "job.hcl:1,1: the text is longer than 1048576 bytes");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_job_has_what_its_blocks_say),
		TEST(a_group_has_what_its_blocks_say),
		TEST(a_task_has_what_its_blocks_say),
		TEST(json_in_between_changes_nothing),
		TEST(what_is_not_said_is_left_open),
		TEST(batch_jobs_have_their_kinds),
		TEST(constraints_have_short_forms),
		TEST(tasks_inherit_and_get_groups),
		TEST(a_job_may_have_another_name_and_id),
		TEST(durations_are_texts_or_nanoseconds),
		TEST(faults_name_file_line_and_column),
		TEST(faults_are_told_in_the_order_of_the_text_and_not_without_end),
		TEST(variables_have_defaults_and_values),
		TEST(variables_have_types),
		TEST(variables_can_be_validated),
		TEST(locals_are_made_of_each_other_in_any_order),
		TEST(a_chain_of_locals_has_an_end),
		TEST(what_nodes_know_stays_text),
		TEST(expressions_are_evaluated),
		TEST(dynamic_blocks_stand_for_many),
		TEST(dynamic_blocks_nest),
		TEST(dynamic_blocks_work_where_anything_goes),
		TEST(dynamic_blocks_have_faults),
		TEST(evaluation_is_bounded_for_the_whole_file),
		TEST(expansion_is_bounded),
		TEST(texts_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
