/* Clients, by their address as lib/peer.h counts it: how many connections each has, and how often it asks.
 *
 * The rate is one number for a client: the moment until which it has used up what it may ask for. A request moves it by the
 * time that one costs, and is refused if that would be more than a burst ahead of now. So a client that has been quiet for
 * a burst's time has the whole burst again; and one without connections is remembered until then, no longer, and not
 * beyond IDLE_MAX clients: then the one that left first is forgotten. */
#include "server/httpd_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

enum { IDLE_MAX = 65536, IDLE_SWEPT = 4096 };

/* Nobody can choose addresses that fall into one bucket: where they fall depends on the process. */
static struct client **client_slot(struct httpd *h, const uint8_t key[PEER_KEY])
{
	struct client **at = &h->clients[XXH3_64bits_withSeed(key, PEER_KEY, h->clients_seed) % CLIENT_BUCKETS];

	while (*at != NULL && memcmp((*at)->key, key, PEER_KEY) != 0) {
		at = &(*at)->next;
	}
	return at;
}

static void forget(struct httpd *h, struct client *client)
{
	struct client **slot = client_slot(h, client->key);

	assert(*slot == client && client->n == 0);
	*slot = client->next;
	list_remove(&client->idle);
	h->n_idle_clients--;
	free(client);
}

static struct client *first_idle(struct httpd *h)
{
	return list_empty(&h->idle_clients) ? NULL : CONTAINER_OF(h->idle_clients.next, struct client, idle);
}

static struct client *client_new(struct httpd *h, const uint8_t key[PEER_KEY], struct client **slot)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL) {
		return NULL;
	}
	memcpy(client->key, key, PEER_KEY);
	list_init(&client->idle);
	*slot = client;
	list_insert(&h->idle_clients, &client->idle);
	h->n_idle_clients++;
	return client;
}

struct client *client_get(struct httpd *h, uv_tcp_t *tcp)
{
	struct client *client;
	struct client **slot;
	uint8_t key[PEER_KEY];

	peer_key(tcp, key);
	slot = client_slot(h, key);
	client = *slot != NULL ? *slot : client_new(h, key, slot);
	if (client == NULL || (h->config.conns_per_client_max > 0 && client->n >= h->config.conns_per_client_max)) {
		return NULL;
	}
	if (client->n++ == 0) {
		list_remove(&client->idle);
		h->n_idle_clients--;
	}
	return client;
}

void client_put(struct httpd *h, struct client *client)
{
	assert(client->n > 0);
	if (--client->n > 0) {
		return;
	}
	list_insert(&h->idle_clients, &client->idle);
	h->n_idle_clients++;
	if (client->used_ns <= uv_hrtime()) {
		forget(h, client);
	} else if (h->n_idle_clients > IDLE_MAX) {
		forget(h, first_idle(h));
	}
}

static uint64_t cost_ns(const struct httpd *h)
{
	return (uint64_t)(1e9 / h->config.requests_per_s);
}

bool client_may_ask(struct httpd *h, struct client *client, unsigned *wait_s)
{
	uint64_t now = uv_hrtime();
	uint64_t ahead;
	uint64_t burst;

	if (!(h->config.requests_per_s > 0)) {
		return true;
	}
	burst = (h->config.requests_burst - 1) * cost_ns(h);
	ahead = client->used_ns > now ? client->used_ns - now : 0;
	if (ahead > burst) {
		*wait_s = (unsigned)((ahead - burst + UINT64_C(999999999)) / UINT64_C(1000000000));
		return false;
	}
	client->used_ns = now + ahead + cost_ns(h);
	return true;
}

void clients_sweep(struct httpd *h)
{
	uint64_t now = uv_hrtime();
	unsigned n = h->n_idle_clients < IDLE_SWEPT ? h->n_idle_clients : IDLE_SWEPT;

	while (n-- > 0) {
		struct client *client = first_idle(h);

		if (client->used_ns <= now) {
			forget(h, client);
		} else { /* Behind the others. */
			list_remove(&client->idle);
			list_insert(&h->idle_clients, &client->idle);
		}
	}
}

void clients_close(struct httpd *h)
{
	while (!list_empty(&h->idle_clients)) {
		forget(h, first_idle(h));
	}
}
