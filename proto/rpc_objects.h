/**
 * What RPC payloads are made of: see the method list in proto/rpc.h.
 *
 * Field numbers are positions in these lists (proto/object.h), and agents of different versions talk to each other:
 * only append.
 */
#ifndef PROTO_RPC_OBJECTS_H_
#define PROTO_RPC_OBJECTS_H_

#include "proto/alloc.h"
#include "proto/job.h"
#include "proto/node.h"
#include "proto/object.h"

/* Who an agent is; each side tells the other at the start of a connection. */
#define RPC_HELLO_FIELDS(X, T)                                                                     \
	X(T, INT, protocol, "Protocol")       /* RPC_VERSION of who says it. */                    \
	X(T, STR, kind, "Kind")               /* "server", "client" or "cli". */                   \
	X(T, STR, id, "ID")                   /* UUID of the server or the node. */                \
	X(T, STR, name, "Name")                                                                    \
	X(T, STR, region, "Region")                                                                \
	X(T, STR, datacenter, "Datacenter")                                                        \
	X(T, STR, version, "Version")         /* Of the program. */                                \
	X(T, STR, cluster_id, "ClusterID")    /* "" as long as there is no cluster. */             \
	X(T, STR, rpc_addr, "RPCAddr")        /* Advertised, "host:port", as the next ones. */     \
	X(T, STR, http_addr, "HTTPAddr")                                                           \
	X(T, STR, serf_addr, "SerfAddr")                                                           \
	X(T, INT, raft_id, "RaftID")          /* 0 if not a server. */                             \
	X(T, INT, bootstrap_expect, "BootstrapExpect")                                             \
	X(T, STR, secret, "Secret", .secret = true) /* A node's secret ID. */

#define RPC_HTTP_REQUEST_FIELDS(X, T)                                                              \
	X(T, STR, method, "Method")                                                                \
	X(T, BYTES, target, "Target")         /* Path and query, as they came: maybe not UTF-8. */ \
	X(T, BYTES, token, "Token", .secret = true)                                                \
	X(T, INT, hops, "Hops")                                                                    \
	X(T, STR, session, "Session")

#define RPC_HTTP_HEADER_FIELDS(X, T)                                                               \
	X(T, STR, name, "Name")                                                                    \
	X(T, STR, value, "Value")

#define RPC_HTTP_RESPONSE_FIELDS(X, T)                                                             \
	X(T, INT, status, "Status")                                                                \
	X(T, INT, has, "Has")                 /* HTTP_HAS_... */                                   \
	X(T, BOOL, known_leader, "KnownLeader")                                                    \
	X(T, INT, index, "Index")                                                                  \
	X(T, INT, last_contact_ms, "LastContact")                                                  \
	X(T, STR, type, "Type")                                                                    \
	X(T, STR, next_token, "NextToken")                                                         \
	X(T, STR, location, "Location")                                                            \
	X(T, LIST(rpc_http_header), extra, "Extra")                                                \
	X(T, INT, length, "Length")           /* Of a body that follows in chunks, if it is known. */

#define RPC_NONE_FIELDS(X, T) X(T, INT, nothing, "Nothing") /* Always zero: packed it is an empty map. */

#define RPC_INDEX_FIELDS(X, T) X(T, INT, index, "Index")

#define RPC_STATE_HASH_FIELDS(X, T)                                                                \
	X(T, INT, index, "Index")                                                                  \
	X(T, INT, hash, "Hash")               /* 0 if this index is not remembered. */

#define RPC_STATUS_FIELDS(X, T)                                                                    \
	X(T, STR, leader_addr, "LeaderAddr")  /* "" if there is none. */                           \
	X(T, INT, leader_raft_id, "LeaderRaftID")                                                  \
	X(T, INT, term, "Term")                                                                    \
	X(T, INT, raft_index, "RaftIndex")                                                         \
	X(T, INT, applied_index, "AppliedIndex")                                                   \
	X(T, INT, index, "Index")             /* Of the state. */                                  \
	X(T, STR, cluster_id, "ClusterID")                                                         \
	X(T, STRS, peers, "Peers")            /* Voters' addresses. */

#define RPC_MEMBER_FIELDS(X, T)                                                                    \
	X(T, OBJ(rpc_hello), hello, "Hello")                                                       \
	X(T, STR, status, "Status")           /* "alive", "failed" or "left". */                   \
	X(T, INT, incarnation, "Incarnation") /* The newer word about a member wins. */            \
	X(T, BOOL, voter, "Voter")

#define RPC_MEMBERS_FIELDS(X, T) X(T, LIST(rpc_member), members, "Members")

/* A server that a cluster is founded with. */
#define RPC_FOUNDER_FIELDS(X, T)                                                                   \
	X(T, INT, id, "ID")                   /* Raft's. */                                        \
	X(T, STR, address, "Address")

/* Between servers that found a cluster: see server/founding.h. */
#define RPC_FOUNDING_FIELDS(X, T)                                                                  \
	X(T, STR, kind, "Kind")                                                                    \
	X(T, INT, from, "From")               /* Raft's ID of the sender. */                       \
	X(T, INT, round, "Round")                                                                  \
	X(T, LIST(rpc_founder), founders, "Founders")

#define RPC_NODES_AT_FIELDS(X, T)                                                                  \
	X(T, BOOL, whole, "Whole")            /* These, and no others. */                          \
	X(T, STRS, here, "Here")              /* IDs of nodes. */                                  \
	X(T, STRS, gone, "Gone")

/* How long a node may be silent, and where it may turn to. */
#define RPC_NODE_LEASE_FIELDS(X, T)                                                                \
	X(T, DUR, ttl, "TTL")                                                                      \
	X(T, INT, index, "Index")                                                                  \
	X(T, BOOL, unknown, "Unknown")        /* The node is not registered: register it. */       \
	X(T, STRS, servers, "Servers")        /* RPC addresses of all servers. */                  \
	X(T, STR, leader_addr, "LeaderAddr")                                                       \
	X(T, BOOL, acl, "ACL")                /* The servers have access control. */

/* How a node's calls begin (RPC_AS_NODE in proto/rpc.h), whatever follows. */
#define RPC_NODE_CLAIM_FIELDS(X, T)                                                                \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)

#define RPC_NODE_HEARTBEAT_FIELDS(X, T)                                                            \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)                                           \
	X(T, STR, status, "Status")

#define RPC_NODE_UPDATE_FIELDS(X, T)                                                               \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)                                           \
	X(T, LIST(alloc_update), allocs, "Allocs")

#define RPC_NODE_WATCH_FIELDS(X, T)                                                                \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)                                           \
	X(T, INT, index, "Index")             /* Of the last push that the node has seen; 0: none. */

/* Where is the data of the allocation that this one of the node's replaces? */
#define RPC_NODE_PREVIOUS_FIELDS(X, T)                                                             \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)                                           \
	X(T, STR, alloc_id, "AllocID")        /* The new one. */

#define RPC_PREVIOUS_FIELDS(X, T)                                                                  \
	X(T, STR, client_status, "ClientStatus") /* "": there is none any more. */                 \
	X(T, STR, http_addr, "HTTPAddr")      /* Of its node, if that has the data. */             \
	X(T, STR, token, "Token", .secret = true) /* See proto/disk_token.h. */                    \
	X(T, BOOL, tls, "TLS")                /* It speaks HTTPS there. */

/* What may be done with this token, which was brought to the node's agent? */
#define RPC_NODE_RIGHTS_FIELDS(X, T)                                                               \
	X(T, STR, node_id, "NodeID")                                                               \
	X(T, STR, secret_id, "SecretID", .secret = true)                                           \
	X(T, STR, token, "Token", .secret = true) /* "": nobody's. */

#define RPC_RIGHTS_POLICY_FIELDS(X, T)                                                             \
	X(T, STR, name, "Name")                                                                    \
	X(T, STR, rules, "Rules")

#define RPC_RIGHTS_FIELDS(X, T)                                                                    \
	X(T, INT, status, "Status")           /* 0; or what HTTP says when it is no good, and */   \
	X(T, STR, why, "Why")                 /* its text. */                                      \
	X(T, STR, accessor, "AccessorID")                                                          \
	X(T, STR, name, "Name")                                                                    \
	X(T, STR, type, "Type")               /* "client", "management" */                         \
	X(T, INT, expires_ns, "Expires")      /* Unix nanoseconds; 0: never. */                    \
	X(T, LIST(rpc_rights_policy), policies, "Policies")

/* What is to run on a node. Allocations travel without their job, which many of them share: jobs[job_of[i]] is the job
 * of allocs[i]. */
#define RPC_NODE_ALLOCS_FIELDS(X, T)                                                               \
	X(T, INT, index, "Index")                                                                  \
	X(T, BOOL, whole, "Whole")            /* All of the node's allocations: what is not here is gone. */ \
	X(T, LIST(job), jobs, "Jobs")                                                              \
	X(T, LIST(allocation), allocs, "Allocs")                                                   \
	X(T, INTS, job_of, "JobOf")                                                                \
	X(T, STRS, gone, "Gone")              /* IDs of allocations that no longer exist. */

OBJECT_DECLARE(rpc_hello, RPC_HELLO_FIELDS);
OBJECT_DECLARE(rpc_http_request, RPC_HTTP_REQUEST_FIELDS);
OBJECT_DECLARE(rpc_http_header, RPC_HTTP_HEADER_FIELDS);
OBJECT_DECLARE(rpc_http_response, RPC_HTTP_RESPONSE_FIELDS);
OBJECT_DECLARE(rpc_none, RPC_NONE_FIELDS);
OBJECT_DECLARE(rpc_index, RPC_INDEX_FIELDS);
OBJECT_DECLARE(rpc_state_hash, RPC_STATE_HASH_FIELDS);
OBJECT_DECLARE(rpc_status, RPC_STATUS_FIELDS);
OBJECT_DECLARE(rpc_member, RPC_MEMBER_FIELDS);
OBJECT_DECLARE(rpc_members, RPC_MEMBERS_FIELDS);
OBJECT_DECLARE(rpc_founder, RPC_FOUNDER_FIELDS);
OBJECT_DECLARE(rpc_founding, RPC_FOUNDING_FIELDS);
OBJECT_DECLARE(rpc_nodes_at, RPC_NODES_AT_FIELDS);
OBJECT_DECLARE(rpc_node_lease, RPC_NODE_LEASE_FIELDS);
OBJECT_DECLARE(rpc_node_claim, RPC_NODE_CLAIM_FIELDS);
OBJECT_DECLARE(rpc_node_heartbeat, RPC_NODE_HEARTBEAT_FIELDS);
OBJECT_DECLARE(rpc_node_update, RPC_NODE_UPDATE_FIELDS);
OBJECT_DECLARE(rpc_node_watch, RPC_NODE_WATCH_FIELDS);
OBJECT_DECLARE(rpc_node_previous, RPC_NODE_PREVIOUS_FIELDS);
OBJECT_DECLARE(rpc_previous, RPC_PREVIOUS_FIELDS);
OBJECT_DECLARE(rpc_node_rights, RPC_NODE_RIGHTS_FIELDS);
OBJECT_DECLARE(rpc_rights_policy, RPC_RIGHTS_POLICY_FIELDS);
OBJECT_DECLARE(rpc_rights, RPC_RIGHTS_FIELDS);
OBJECT_DECLARE(rpc_node_allocs, RPC_NODE_ALLOCS_FIELDS);

#endif /* PROTO_RPC_OBJECTS_H_ */
