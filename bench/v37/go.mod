module github.com/quorate-raft/raft/bench/v37

go 1.26.0

replace (
	github.com/quorate-raft/raft => ../..
	github.com/quorate-raft/raft/bench => ..
)

require (
	github.com/quorate-raft/raft/bench v0.0.0
	github.com/stretchr/testify v1.12.1
	go.etcd.io/raft/v3 v3.7.0
	google.golang.org/protobuf v1.36.12
)

require (
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sys v0.48.0 // indirect
)
