# For watching failures: a node that is silent is given up after seconds.
server {
  min_heartbeat_ttl = "3s"
  heartbeat_grace   = "2s"
}
