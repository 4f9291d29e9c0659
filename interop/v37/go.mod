module github.com/quorate-raft/raft/interop/v37

go 1.26.0

replace (
	github.com/quorate-raft/raft => ../..
	github.com/quorate-raft/raft/interop => ..
)

require (
	github.com/quorate-raft/raft v0.0.0
	github.com/quorate-raft/raft/interop v0.0.0
	github.com/stretchr/testify v1.12.1
	go.etcd.io/raft/v3 v3.7.0
	google.golang.org/protobuf v1.36.12
)

require (
	github.com/gogo/protobuf v1.3.2 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
