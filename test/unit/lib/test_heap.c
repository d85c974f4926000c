#include "test/unit/unit.h"

#include "lib/heap.h"
#include "lib/list.h"

enum { N = 300 };

struct thing {
	struct heap_link link;
	int order;
};

static struct thing *thing_of(struct heap_link *l)
{
	return CONTAINER_OF(l, struct thing, link);
}

static bool before(const struct heap_link *a, const struct heap_link *b)
{
	return ((const struct thing *)(const void *)a)->order < ((const struct thing *)(const void *)b)->order;
}

static int least(const struct thing *things, bool *any)
{
	int min = 0;
	int i;

	*any = false;
	for (i = 0; i < N; i++) {
		if (heap_has(&things[i].link) && (!*any || things[i].order < min)) {
			min = things[i].order;
			*any = true;
		}
	}
	return min;
}

static void a_random_step(struct heap *h, struct thing *t)
{
	if (!heap_has(&t->link)) {
		t->order = rand() % 1000;
		assert_true(heap_add(h, &t->link));
	} else if (rand() % 2 == 0) {
		t->order = rand() % 1000;
		heap_moved(h, &t->link);
	} else {
		heap_remove(h, &t->link);
	}
}

static void the_first_is_always_the_least(void **state)
{
	static struct thing things[N];
	struct heap h;
	unsigned step;
	bool any;
	int min;

	(void)state;
	printf("seed 1\n");
	srand(1);
	heap_init(&h, before);
	for (step = 0; step < 20000; step++) {
		a_random_step(&h, &things[rand() % N]);
		min = least(things, &any);
		assert_int_equal(any, heap_first(&h) != NULL);
		if (any) {
			assert_int_equal(thing_of(heap_first(&h))->order, min);
		}
	}
	heap_close(&h);
}

static void taking_the_first_until_it_is_empty_sorts(void **state)
{
	static struct thing things[N];
	struct heap h;
	int last = -1;
	int i;

	(void)state;
	heap_init(&h, before);
	for (i = 0; i < N; i++) {
		things[i].order = (i * 7919) % 1009;
		assert_true(heap_add(&h, &things[i].link));
	}
	while (heap_first(&h) != NULL) {
		struct thing *t = thing_of(heap_first(&h));

		assert_true(t->order >= last);
		last = t->order;
		heap_remove(&h, &t->link);
		assert_false(heap_has(&t->link));
	}
	heap_close(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_is_always_the_least),
		cmocka_unit_test(taking_the_first_until_it_is_empty_sorts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
