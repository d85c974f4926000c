namespace "default" {
  policy       = "read"
  capabilities = ["submit-job", "alloc-node-exec"]
  variables {
    path "project/*" { capabilities = ["read", "write", "destroy", "list"] }
    path "secret"    { capabilities = ["deny"] }
  }
}
namespace "*-web" { policy = "deny" }
namespace { policy = "scale" }
node_pool "gpu-*" { policy = "write" }
host_volume "data" { capabilities = ["mount-readonly"] }
node { policy = "read" }
agent { policy = "write" }
operator { policy = "deny" }
quota { policy = "read" }
plugin { policy = "list" }
