#include "test/unit/unit.h"

#include <inttypes.h>

#include "proto/error.h"
#include "proto/walk.h"
#include "test/unit/proto/all_types.h"
#include "test/unit/proto/random_object.h"

#define TYPE_ROW(name) &name##_type,
static const struct type *const types[] = {ALL_TYPES(TYPE_ROW)};
enum { TYPES = sizeof(types) / sizeof(types[0]), ROUNDS = 40 };

static uint64_t seed;

static void new_objects_have_their_defaults(void **state)
{
	struct job j;
	struct vault v;

	(void)state;
	object_init(&job_type, &j);
	object_init(&vault_type, &v);
	assert_string_equal(j.type, "service");
	assert_string_equal(j.id, "");
	assert_int_equal(j.priority, 50);
	assert_null(j.update);
	assert_int_equal(j.task_groups.n, 0);
	assert_true(v.env);
}

static void a_string_that_was_given_is_known_from_a_default(void **state)
{
	static const char text[] = "{\"ID\":\"\",\"Type\":\"service\",\"Name\":null}";
	struct job j;

	(void)state;
	object_init(&job_type, &j);
	assert_false(str_given(&job_type, &j, &j.id));
	assert_false(str_given(&job_type, &j, &j.type));
	assert_int_equal(json_decode(&job_type, &j, text, sizeof(text) - 1, NULL, NULL), 0);
	assert_true(str_given(&job_type, &j, &j.id));
	assert_true(str_given(&job_type, &j, &j.type));
	assert_false(str_given(&job_type, &j, &j.name));
	assert_false(str_given(&job_type, &j, &j.region));
	object_free(&job_type, &j);
}

static void copies_are_equal_and_stand_alone(void **state)
{
	uint64_t s = seed;
	int i;
	int k;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		void *a = malloc(types[i]->size);
		void *b = malloc(types[i]->size);

		for (k = 0; k < ROUNDS; k++) {
			struct arena mem = {0};
			struct arena other = {0};

			random_object(types[i], a, &mem, &s, 3);
			assert_int_equal(object_copy(types[i], b, a, NULL), 0);
			assert_true(object_equal(types[i], a, b));
			object_free(types[i], b);
			assert_int_equal(object_copy(types[i], b, a, &other), 0);
			arena_close(&mem);
			assert_int_equal(object_copy(types[i], a, b, &mem), 0);
			assert_true(object_equal(types[i], a, b));
			arena_close(&mem);
			arena_close(&other);
		}
		free(a);
		free(b);
	}
}

/* A change of one member shows. */
static void objects_that_differ_in_one_member_are_not_equal(void **state)
{
	uint64_t s = seed;
	struct arena mem = {0};
	int i;
	uint16_t k;

	(void)state;
	for (i = 0; i < TYPES; i++) {
		void *a = arena_alloc(&mem, types[i]->size);
		void *b = arena_alloc(&mem, types[i]->size);

		random_object(types[i], a, &mem, &s, 3);
		for (k = 0; k < types[i]->n; k++) {
			const struct field *f = &types[i]->fields[k];

			assert_int_equal(object_copy(types[i], b, a, &mem), 0);
			if (member_empty(f, member_of(a, f))) {
				continue;
			}
			memset(member_of(b, f), 0, kind_is_row(f->kind) ? sizeof(struct objs) : sizeof(bool));
			if (f->kind == KIND_OBJMAP) {
				((struct objmap *)member_of(b, f))->n = 0;
			} else if (!kind_is_row(f->kind)) {
				struct arena none = {0};
				void *zero = arena_alloc(&none, types[i]->size);

				object_zero(types[i], zero);
				memcpy(member_of(b, f), member_of(zero, f),
				       f->kind == KIND_BOOL ? sizeof(bool)
				       : f->kind == KIND_BYTES || (f->kind >= KIND_OPTBOOL && f->kind <= KIND_OPTDUR)
					       ? 16
					       : 8);
				arena_close(&none);
			}
			if (object_equal(types[i], a, b)) {
				fail_msg("%s.%s", types[i]->name, f->name);
			}
			assert_int_equal(object_equal_spec(types[i], a, b), f->server);
		}
	}
	arena_close(&mem);
}

static void what_servers_set_is_no_part_of_the_specification(void **state)
{
	struct job a;
	struct job b;

	(void)state;
	object_init(&job_type, &a);
	object_init(&job_type, &b);
	b.version = 3;
	b.status = "dead";
	assert_false(object_equal(&job_type, &a, &b));
	assert_true(object_equal_spec(&job_type, &a, &b));
	b.priority = 51;
	assert_false(object_equal_spec(&job_type, &a, &b));
}

static void validity_tells_the_first_fault_and_its_place(void **state)
{
	static struct port ports[2] = {{.label = "a", .host_network = ""},
				       {.label = "b", .value = 65536, .host_network = ""}};
	struct network_resource n;
	struct fault f;
	struct node node;

	(void)state;
	object_init(&network_resource_type, &n);
	assert_true(object_valid(&network_resource_type, &n, &f));
	n.reserved_ports.at = ports;
	n.reserved_ports.n = 2;
	assert_false(object_valid(&network_resource_type, &n, &f));
	assert_string_equal(f.path, "ReservedPorts[1].Value");
	assert_string_equal(f.why, "must be 0 to 65535");
	object_init(&node_type, &node);
	assert_false(object_valid(&node_type, &node, &f));
	assert_string_equal(f.path, "ID");
	assert_string_equal(f.why, "is required");
}

static void secrets_can_be_hidden(void **state)
{
	struct node n;

	(void)state;
	object_init(&node_type, &n);
	n.secret_id = "very secret";
	n.name = "n1";
	object_hide_secrets(&node_type, &n);
	assert_string_equal(n.secret_id, "");
	assert_string_equal(n.name, "n1");
}

static void fields_are_found_by_name_the_exact_one_first(void **state)
{
	const struct field *f = object_field(&job_type, "taskgroups", 10);

	(void)state;
	assert_string_equal(object_field(&job_type, "ID", 2)->name, "ID");
	assert_string_equal(f->name, "TaskGroups");
	assert_string_equal(f->hcl, "group");
	assert_null(object_field(&job_type, "I", 1));
	assert_null(object_field(&job_type, "", 0));
}

static void status_texts_and_numbers_belong_together(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < EVAL_TRIGGER_COUNT; i++) {
		assert_int_equal(eval_trigger_parse(eval_trigger_text(i)), i);
	}
	assert_int_equal(alloc_client_parse("lost"), ALLOC_CLIENT_LOST);
	assert_string_equal(node_status_text(NODE_STATUS_INIT), "initializing");
	assert_string_equal(deployment_status_text(-1), "");
	assert_string_equal(deployment_status_text(DEPLOYMENT_STATUS_COUNT), "");
	assert_int_equal(job_type_parse("weird"), -1);
}

static void error_codes_have_texts(void **state)
{
	(void)state;
	assert_string_equal(error_text(ERR_NOLEADER), "No cluster leader");
	assert_string_equal(error_text(-1000), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_objects_have_their_defaults),
		cmocka_unit_test(a_string_that_was_given_is_known_from_a_default),
		cmocka_unit_test(copies_are_equal_and_stand_alone),
		cmocka_unit_test(objects_that_differ_in_one_member_are_not_equal),
		cmocka_unit_test(what_servers_set_is_no_part_of_the_specification),
		cmocka_unit_test(validity_tells_the_first_fault_and_its_place),
		cmocka_unit_test(secrets_can_be_hidden),
		cmocka_unit_test(fields_are_found_by_name_the_exact_one_first),
		cmocka_unit_test(status_texts_and_numbers_belong_together),
		cmocka_unit_test(error_codes_have_texts),
	};

	seed = random_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
