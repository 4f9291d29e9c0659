module github.com/quorate-raft/raft/bench

go 1.26.0

replace github.com/quorate-raft/raft => ..

require (
	github.com/quorate-raft/raft v0.0.0
	github.com/stretchr/testify v1.12.1
	go.etcd.io/raft/v3 v3.6.0
	golang.org/x/sys v0.48.0
)

require (
	github.com/gogo/protobuf v1.3.2 // indirect
	github.com/golang/protobuf v1.5.4 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	google.golang.org/protobuf v1.33.0 // indirect
)
