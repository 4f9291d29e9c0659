// Command genproto generates raftpb/raft.pb.go from raftpb/raft.proto.
//
// It needs no protoc binary: the file is parsed by a parser written in Go, and gogo's generator runs as a
// library. Both come from this module's go.mod, so that everyone generates the same bytes.
//
//	genproto [-root dir] [-check]
//
// With -check nothing is written; the exit status is 1 if the generated file is not what would be written.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	gogoproto "github.com/gogo/protobuf/proto"
	gogodescriptor "github.com/gogo/protobuf/protoc-gen-gogo/descriptor"
	plugin "github.com/gogo/protobuf/protoc-gen-gogo/plugin"
	"github.com/gogo/protobuf/vanity/command"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// registeredName is the name under which the file enters the process-wide registry of gogo. It is not the
	// path in the repository: see the comment at the head of the file.
	registeredName = "quorate/raftpb/raft.proto"
	source         = "raftpb/raft.proto"
	target         = "raftpb/raft.pb.go"

	gogoModule = "github.com/gogo/protobuf"
	gogoImport = "gogoproto/gogo.proto"
)

func main() {
	root := flag.String("root", "..", "directory of the raft module")
	check := flag.Bool("check", false, "write nothing, fail if the generated file is not current")
	flag.Parse()
	if err := run(*root, *check); err != nil {
		fmt.Fprintln(os.Stderr, "genproto:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	file, err := parse(filepath.Join(root, source))
	if err != nil {
		return fmt.Errorf("parse %s: %w", source, err)
	}
	generated, err := generate(file)
	if err != nil {
		return fmt.Errorf("generate %s: %w", target, err)
	}
	path := filepath.Join(root, target)
	if !check {
		return os.WriteFile(path, generated, 0o644)
	}
	current, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(current, generated) {
		return fmt.Errorf("%s is not what %s generates: run `make generate` and commit the result", target, source)
	}
	return nil
}

// parse links the file at path with its imports; it keeps comments, which the generator copies.
func parse(path string) (protoreflect.FileDescriptor, error) {
	gogoDir, err := moduleDir(gogoModule)
	if err != nil {
		return nil, err
	}
	places := map[string]string{
		registeredName: path,
		gogoImport:     filepath.Join(gogoDir, filepath.FromSlash(gogoImport)),
	}
	compiler := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: func(name string) (io.ReadCloser, error) {
				place, ok := places[name]
				if !ok {
					return nil, os.ErrNotExist
				}
				return os.Open(place)
			},
		}),
	}
	files, err := compiler.Compile(context.Background(), registeredName)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// moduleDir returns the directory of a module at the version that go.mod of this module pins.
func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
		}
		return "", fmt.Errorf("find module %s (run this in the tools module): %w", module, err)
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return "", fmt.Errorf("module %s is not in the module cache", module)
	}
	return dir, nil
}

// generate runs gogo's generator with all its plugins, which act on the options in the file. The generator
// reports its own errors on standard error and exits with status 1.
func generate(file protoreflect.FileDescriptor) ([]byte, error) {
	request := &plugin.CodeGeneratorRequest{FileToGenerate: []string{file.Path()}}
	if err := addWithImports(request, file, map[string]bool{}); err != nil {
		return nil, err
	}
	response := command.Generate(request)
	if response.Error != nil {
		return nil, errors.New(response.GetError())
	}
	if len(response.File) != 1 {
		return nil, fmt.Errorf("%d files instead of 1", len(response.File))
	}
	return renameMethods([]byte(response.File[0].GetContent()))
}

// handwritten has the generated methods that raftpb wraps: see raftpb/metadata.go.
var handwritten = map[string]string{
	"func (m *SnapshotMetadata) Size(":                 "func (m *SnapshotMetadata) sizeFields(",
	"func (m *SnapshotMetadata) MarshalToSizedBuffer(": "func (m *SnapshotMetadata) encodeFields(",
	"func (m *SnapshotMetadata) Unmarshal(":            "func (m *SnapshotMetadata) decodeFields(",
}

func renameMethods(generated []byte) ([]byte, error) {
	for from, to := range handwritten {
		if n := bytes.Count(generated, []byte(from)); n != 1 {
			return nil, fmt.Errorf("%d times %q in the generated code instead of once", n, from)
		}
		generated = bytes.Replace(generated, []byte(from), []byte(to), 1)
	}
	return generated, nil
}

// addWithImports appends the descriptor of file after those of its imports, as the generator wants them. The
// descriptors cross from Google's Go types to gogo's as bytes.
func addWithImports(request *plugin.CodeGeneratorRequest, file protoreflect.FileDescriptor, done map[string]bool) error {
	if done[file.Path()] {
		return nil
	}
	done[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		if err := addWithImports(request, imports.Get(i).FileDescriptor, done); err != nil {
			return err
		}
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(protoutil.ProtoFromFileDescriptor(file))
	if err != nil {
		return fmt.Errorf("encode descriptor of %s: %w", file.Path(), err)
	}
	descriptor := new(gogodescriptor.FileDescriptorProto)
	if err := gogoproto.Unmarshal(encoded, descriptor); err != nil {
		return fmt.Errorf("decode descriptor of %s: %w", file.Path(), err)
	}
	request.ProtoFile = append(request.ProtoFile, descriptor)
	return nil
}
