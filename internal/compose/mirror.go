package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"imagecache.dev/internal/devcontainer"
	"imagecache.dev/internal/hash"
	"imagecache.dev/internal/tempfolder"
)

const (
	// maxFiles bounds the files that a project is read from.
	maxFiles = 100
	// maxUp is how many folders a path may go up. The mirror lies deeper than that in its temporary folder, so no path
	// that begins in the mirror leads out of that folder.
	maxUp = 16
)

// mirror holds copies of the files that a project is read from, in a temporary folder. compose-go reads files by their
// paths alone, wherever they lead. So it reads the mirror, which holds nothing but regular files of the workspace, each
// read once: what is in the key is what was parsed.
type mirror struct {
	root      *os.Root // of the workspace
	workspace string
	folder    *tempfolder.Folder
	top       string // the workspace's place in the mirror
	files     []hash.ComposeFile
	env       map[string][]byte // the files with variables, by their paths in the workspace
}

func newMirror(workspace string) (*mirror, error) {
	root, err := os.OpenRoot(workspace)
	if err != nil {
		return nil, err
	}
	folder, err := tempfolder.New(tempfolder.Compose)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	// The folder keeps its name, from which Docker Compose takes the project's.
	top := filepath.Join(folder.Path, strings.Repeat("up/", maxUp), filepath.Base(workspace))
	return &mirror{root: root, workspace: workspace, folder: folder, top: top, env: map[string][]byte{}}, nil
}

func (m *mirror) close() {
	_ = m.root.Close()
	_ = m.folder.Remove()
}

// path is the place of a file of the workspace in the mirror.
func (m *mirror) path(name string) string { return filepath.Join(m.top, filepath.FromSlash(name)) }

// holds reports whether an absolute path lies in the mirror's temporary folder.
func (m *mirror) holds(absolute string) bool {
	return strings.HasPrefix(absolute, m.folder.Path+string(filepath.Separator))
}

// relative makes an absolute path of the mirror or of the workspace relative to the workspace, with slashes. It begins
// with ".." or is absolute where it leads out.
func (m *mirror) relative(absolute string) string {
	base := m.workspace
	if m.holds(absolute) || absolute == m.top {
		base = m.top
	}
	relative, err := filepath.Rel(base, absolute)
	if err != nil || base == m.workspace && devcontainer.Outside(filepath.ToSlash(relative)) {
		return path.Clean(filepath.ToSlash(absolute))
	}
	return path.Clean(filepath.ToSlash(relative))
}

// has reports whether the mirror has a file of the workspace.
func (m *mirror) has(name string) bool {
	_, isEnv := m.env[name]
	return isEnv || slices.ContainsFunc(m.files, func(f hash.ComposeFile) bool { return f.Path == name })
}

// takeCompose copies a Compose file, and the file of variables beside it, which Docker Compose reads for an included
// file. by says who names the file. A file that the mirror has is not read again. One that is refused is not in the
// mirror, so every reading of the project fails for it.
func (m *mirror) takeCompose(name, by string) error {
	if slices.ContainsFunc(m.files, func(f hash.ComposeFile) bool { return f.Path == name }) {
		return nil
	}
	contents, err := m.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read Compose file: %s, named by %s, is not there: %w", name, by, fs.ErrNotExist)
	}
	if err == nil {
		err = checkFile(contents)
	}
	if err != nil {
		return fmt.Errorf("read Compose file %s: %w", name, err)
	}
	if err := m.takeEnv(path.Join(path.Dir(name), envFile)); err != nil {
		return err
	}
	m.files = append(m.files, hash.ComposeFile{Path: name, Raw: contents})
	return m.write(name, contents)
}

// takeEnv copies a file of variables where it exists.
func (m *mirror) takeEnv(name string) error {
	if _, taken := m.env[name]; taken {
		return nil
	}
	if found, err := isFile(m.root, name); !found || err != nil {
		return err
	}
	contents, err := m.read(name)
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	m.env[name] = contents
	return m.write(name, contents)
}

func (m *mirror) read(name string) ([]byte, error) {
	if devcontainer.Outside(name) {
		return nil, devcontainer.ErrOutside
	}
	if len(m.files)+len(m.env) >= maxFiles {
		return nil, fmt.Errorf("the project has more than %d files", maxFiles)
	}
	return devcontainer.ReadFile(m.root, name, devcontainer.MaxConfigurationBytes)
}

func (m *mirror) write(name string, contents []byte) error {
	place := m.path(name)
	if err := os.MkdirAll(filepath.Dir(place), 0o700); err != nil {
		return err
	}
	return os.WriteFile(place, contents, 0o600)
}

// takeMissing copies the file for want of which compose-go failed, and reports whether it may be tried again.
func (m *mirror) takeMissing(failure error) (again bool, err error) {
	var missing *fs.PathError
	if !errors.As(failure, &missing) || !errors.Is(failure, fs.ErrNotExist) || !m.holds(missing.Path) {
		return false, failure
	}
	name := m.relative(missing.Path)
	switch {
	case devcontainer.Outside(name):
		return false, fmt.Errorf("read Compose file: %s is %w", name, devcontainer.ErrOutside)
	case m.has(name):
		return false, failure
	case missing.Op == "stat": // only of the files with variables that an include names
		if err := m.takeEnv(name); err != nil || m.has(name) {
			return err == nil, err
		}
		return false, fmt.Errorf("read Compose file: %s, an env_file of an include, is not there", name)
	}
	err = m.takeCompose(name, "another Compose file")
	return err == nil, err
}

// readable makes an error of compose-go one line, with paths of the workspace.
func (m *mirror) readable(err error) string {
	text := strings.NewReplacer(
		m.top+string(filepath.Separator), "", m.top, ".", m.folder.Path+string(filepath.Separator), "",
	).Replace(err.Error())
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	text = strings.Join(slices.DeleteFunc(lines, func(line string) bool { return line == "" }), ", ")
	return strings.ReplaceAll(text, ":,", ":")
}
