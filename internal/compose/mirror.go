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
	sizes     variableSizes     // of what env sets
	buildOnly bool              // Compose files have only their buildParts
}

func newMirror(workspace string, lookupEnv lookup) (*mirror, error) {
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
	return &mirror{
		root: root, workspace: workspace, folder: folder, top: top,
		env: map[string][]byte{}, sizes: variableSizes{lookupEnv: lookupEnv},
	}, nil
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

// takeFirst reads a Compose file that Docker Compose is called with, and copies the files of variables that its
// includes name, from the folder of the first of these. by says who names the file. The file itself is not copied:
// compose-go gets its content, and misses it where another file names it.
func (m *mirror) takeFirst(name, by, folder string) error {
	if m.index(name) >= 0 {
		return nil
	}
	envFiles, err := m.readCompose(name, by)
	if err != nil {
		return err
	}
	for _, written := range envFiles {
		file, err := inWorkspace(m.workspace, folder, written)
		if err != nil {
			return fmt.Errorf("read Compose file %s: %s, an env_file of an include, is %w", name, written, err)
		}
		if err := m.takeEnv(file); err != nil {
			return err
		}
		if _, taken := m.env[file]; !taken {
			return fmt.Errorf("read Compose file %s: %s, an env_file of an include, is not there", name, file)
		}
	}
	return nil
}

// takeCompose copies a Compose file that another one names, and the file of variables beside it, which Docker Compose
// reads for an included file. A file that the mirror has is not read again. One that is refused is not in the mirror,
// so every reading of the project fails for it.
func (m *mirror) takeCompose(name string) error {
	if m.index(name) < 0 {
		if _, err := m.readCompose(name, "another Compose file"); err != nil {
			return err
		}
	}
	// compose-go takes it from the folder in which the process runs.
	if envFiles, _ := checkFile(m.files[m.index(name)].Raw); len(envFiles) > 0 {
		return fmt.Errorf(
			"read Compose file %s: an include has the env_file %s, which the cache follows only in a file of dockerComposeFile "+
				"that no other file names", name, envFiles[0],
		)
	}
	return m.write(name, m.contents(name))
}

// contents are what compose-go reads of a Compose file that the mirror has.
func (m *mirror) contents(name string) []byte {
	raw := m.files[m.index(name)].Raw
	if !m.buildOnly {
		return raw
	}
	if parts, err := buildParts(raw); err == nil {
		return parts
	}
	return raw
}

// reduce leaves only the buildParts of all Compose files.
func (m *mirror) reduce() error {
	m.buildOnly = true
	for _, file := range m.files {
		if _, err := os.Lstat(m.path(file.Path)); err != nil {
			continue
		}
		if err := m.write(file.Path, m.contents(file.Path)); err != nil {
			return err
		}
	}
	return nil
}

// readCompose reads a Compose file, checks it, and copies the file of variables beside it.
func (m *mirror) readCompose(name, by string) (envFiles []string, err error) {
	contents, err := m.read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read Compose file: %s, named by %s, is not there: %w", name, by, fs.ErrNotExist)
	}
	if err == nil {
		envFiles, err = checkFile(contents)
	}
	if err != nil {
		return nil, fmt.Errorf("read Compose file %s: %w", name, err)
	}
	if err := m.takeEnv(path.Join(path.Dir(name), envFile)); err != nil {
		return nil, err
	}
	m.files = append(m.files, hash.ComposeFile{Path: name, Raw: contents})
	return envFiles, nil
}

// index of a Compose file in files, -1 where it is not read.
func (m *mirror) index(name string) int {
	return slices.IndexFunc(m.files, func(f hash.ComposeFile) bool { return f.Path == name })
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
	if isCompose(contents) {
		return fmt.Errorf("read %s: it is a file of variables and a Compose file; keep them apart", name)
	}
	m.env[name] = contents
	if err := m.sizes.check(m.env); err != nil {
		delete(m.env, name)
		return fmt.Errorf("read %s: %w", name, err)
	}
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

// takeMissing copies the file that compose-go did not find, and reports whether the load may be tried again.
func (m *mirror) takeMissing(failure error) (again bool, err error) {
	var missing *fs.PathError
	if !errors.As(failure, &missing) || !errors.Is(failure, fs.ErrNotExist) || !m.holds(missing.Path) {
		return false, failure
	}
	name := m.relative(missing.Path)
	if devcontainer.Outside(name) {
		return false, fmt.Errorf("read Compose file: %s is %w", name, devcontainer.ErrOutside)
	}
	if _, err := os.Lstat(m.path(name)); err == nil {
		return false, failure
	}
	err = m.takeCompose(name)
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
