# What every agent in a container has in common; the rest is told on its command line.
data_dir = "/var/lib/drover"

# Tasks are processes inside of the agent's container, which is what isolates them.
plugin "raw_exec" {
  config {
    enabled = true
  }
}
