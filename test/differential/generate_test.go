package differential

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// contextFolder is the build context of a random workspace.
const contextFolder = "context"

// generator makes a random workspace. The same seed makes the same one.
type generator struct {
	*rand.Rand
	machine  *machine
	folders  []string // of the context, "." first
	files    []string
	links    []string
	targets  map[string]string // of links
	modes    map[string]fs.FileMode
	ignored  map[string]string // ignore files and their contents
	lines    []string          // of the Dockerfile
	args     map[string]string
	stages   []string
	variable int
	outputs  int
	// wide are the reasons for which the key may hold what no engine here reads.
	wide []string
	// foreign reports whether the current stage starts from an image, and not from scratch.
	foreign bool
}

func generate(seed uint64, m *machine) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 15)), machine: m, folders: []string{"."},
		targets: map[string]string{}, modes: map[string]fs.FileMode{}, ignored: map[string]string{}, args: map[string]string{}}
	g.tree()
	g.ignoreFiles()
	g.dockerfile()
	return g
}

// one reports true once in n times.
func (g *generator) one(n int) bool { return g.IntN(n) == 0 }

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) widen(why string) { g.wide = append(g.wide, why) }

// stems and endings make names. A number in between makes every name of a tree another one.
var (
	stems   = []string{"a", "b", "src", "docs", "lib", "node_modules", ".hidden", "a b", "x[1]", "ünï", "-dash", "#hash", "!bang", "star*", "q?", "$dollar", "~", "(p)", "%41"}
	endings = []string{"", ".txt", ".md", ".json", ".d"}
)

func (g *generator) name(n int) string {
	stem := pick(g, stems)
	if !g.one(4) {
		stem = stems[g.IntN(6)]
	}
	return fmt.Sprintf("%s%d%s", stem, n, pick(g, endings))
}

// fixed are folders that are always there: values of variables.
var fixed = []string{"src", "lib", "amd64"}

func (g *generator) tree() {
	for _, folder := range fixed {
		g.folders = append(g.folders, folder)
		g.files = append(g.files, folder+"/in-"+folder)
	}
	for n := range 8 + g.IntN(12) {
		name := path.Join(pick(g, g.folders), g.name(n))
		switch {
		case g.one(4) && strings.Count(name, "/") < 3:
			g.folders = append(g.folders, name)
			if g.one(12) {
				g.modes[name] = pick(g, []fs.FileMode{0o700, 0o750, 0o775})
			}
		case g.one(6):
			g.links = append(g.links, name)
			g.targets[name] = g.target(name)
		default:
			g.files = append(g.files, name)
			if g.one(8) {
				g.modes[name] = pick(g, []fs.FileMode{0o755, 0o600, 0o640, 0o700, 0o664, 0o750})
			}
		}
	}
}

// target is what a link leads to.
func (g *generator) target(link string) string {
	if g.one(4) {
		return pick(g, []string{"nowhere", "/etc/passwd", "../../outside", ".", "..", "/", path.Base(link)})
	}
	to := pick(g, slices.Concat(g.folders, g.files, g.links))
	if g.one(3) {
		return "/" + to
	}
	relative, err := filepath.Rel(path.Dir(link), to)
	if err != nil {
		return to
	}
	return relative
}

// ignoreFiles writes rules that name what is there.
func (g *generator) ignoreFiles() {
	if g.one(2) {
		g.ignored[".dockerignore"] = g.ignoreFile()
	}
	if g.one(8) {
		g.ignored[".containerignore"] = g.ignoreFile()
	}
}

func (g *generator) ignoreFile() string {
	var lines []string
	if g.one(5) {
		lines = append(lines, pick(g, []string{"*", "**"}))
	}
	for range 1 + g.IntN(4) {
		name := pick(g, slices.Concat(g.folders[1:], g.files, g.links))
		line := name
		switch g.IntN(9) {
		case 0:
			line = "**/" + path.Base(name)
		case 1:
			line = "**/*" + path.Ext(name)
		case 2:
			line = path.Join(path.Dir(name), "*")
		case 3:
			line = "/" + name + "/"
		case 4:
			line = "./" + name
		case 5:
			line = pick(g, []string{"# a comment", "", "*.md", "*/*.txt", "?[0-9]*", "**/.*", "docs*/**"})
		}
		if g.one(3) {
			line = "!" + line
			g.widen("an exception")
		}
		if g.one(12) {
			line = " " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, pick(g, []string{"\n", "\n", "\n", "\r\n"})) + "\n"
}

// dockerfile writes stages, of which the last is built.
func (g *generator) dockerfile() {
	stages := 1 + g.IntN(3)
	for n := range stages {
		g.from(n)
		for range 1 + g.IntN(3) {
			g.instruction()
		}
	}
}

func (g *generator) from(n int) {
	from := pick(g, []string{g.machine.base, g.machine.base, g.machine.env, "scratch"})
	if len(g.stages) > 0 && g.one(2) {
		from = pick(g, g.stages)
		g.widen("a stage on a stage") // variables of it, and triggers, which buildah leaves out
	} else {
		g.foreign = from != "scratch"
	}
	name := fmt.Sprintf("stage%d", n)
	g.lines = append(g.lines, "FROM "+from+" AS "+name)
	g.stages = append(g.stages, name)
}

func (g *generator) instruction() {
	switch kind := g.IntN(12); {
	case kind == 0 && len(g.stages) > 1:
		g.copyFromStage()
	case kind == 1 && g.foreign:
		g.mount()
	case kind == 2:
		g.lines = append(g.lines, "ONBUILD "+g.copy())
		g.widen("a trigger")
	case kind == 3:
		g.argument()
	case kind == 4:
		g.env()
	default:
		g.lines = append(g.lines, g.copy())
	}
}

func (g *generator) output() string {
	g.outputs++
	return fmt.Sprintf("/out%d/", g.outputs)
}

// copy is COPY or ADD of one or more sources.
func (g *generator) copy() string {
	var sources []string
	sources = append(sources, g.source())
	if g.one(4) {
		sources = append(sources, g.source())
	}
	words := append(sources, g.output())
	verb := pick(g, []string{"COPY", "COPY", "COPY", "ADD"})
	plain := !slices.ContainsFunc(words, func(word string) bool { return strings.ContainsAny(word, " \t") })
	if plain && !g.one(4) {
		return verb + " " + strings.Join(words, " ")
	}
	text, _ := json.Marshal(words)
	return verb + " " + string(text)
}

// leadsTo returns what a link leads to in the tree without other links, "" where that is nothing.
func (g *generator) leadsTo(link string) string {
	target := g.targets[link]
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(link), target)
	}
	target = strings.TrimPrefix(path.Clean(target), "/")
	if target == "" {
		target = "."
	}
	if slices.Contains(g.folders, target) || slices.Contains(g.files, target) {
		return target
	}
	return ""
}

// sourceName picks a name, most often one that a build finds.
func (g *generator) sourceName() string {
	if len(g.ignored) > 0 && g.one(2) {
		return pick(g, slices.Concat(fixed, []string{"."}))
	}
	name := pick(g, slices.Concat(g.folders, g.files, g.files, g.links, g.links))
	if g.targets[name] != "" && g.leadsTo(name) == "" && !g.one(8) {
		return "."
	}
	return name
}

// source names something in the context, in one of many ways.
func (g *generator) source() string {
	name := g.sourceName()
	elements := strings.Split(name, "/")
	if strings.ContainsAny(name, "$") {
		return "." // it would be a variable
	}
	switch g.IntN(10) {
	case 0:
		elements[g.IntN(len(elements))] = "*"
	case 1:
		n := g.IntN(len(elements))
		elements[n] = string([]rune(elements[n])[:1]) + "*"
	case 2:
		n := g.IntN(len(elements))
		elements[n] = "[" + pick(g, []string{"a-m", "^a", "srcdolib"}) + "]*"
	case 3:
		elements[0] = "**"
		g.widen("any depth")
	case 4:
		return pick(g, []string{"./", "/", "../", "x/../"}) + name
	case 5:
		if len(g.links) == 0 {
			break
		}
		link := pick(g, g.links)
		if slices.Contains(g.folders, g.leadsTo(link)) {
			return path.Join(link, pick(g, []string{".", "*", "[a-s]*"}))
		}
	case 6:
		g.variable++
		variable := fmt.Sprintf("V%d", g.variable)
		g.lines = append(g.lines, fmt.Sprintf("%s %s=%q", pick(g, []string{"ENV", "ENV", "ARG"}), variable, name))
		if strings.HasPrefix(g.lines[len(g.lines)-1], "ARG") && g.foreign {
			g.widen("an argument on an image")
		}
		return "$" + variable
	}
	return strings.Join(elements, "/")
}

func (g *generator) copyFromStage() {
	from := g.stages[g.IntN(len(g.stages)-1)]
	source := pick(g, []string{"/", fmt.Sprintf("/out%d", 1+g.IntN(g.outputs+1))})
	if source != "/" {
		g.widen("a part of a stage")
	}
	g.lines = append(g.lines, "COPY --from="+from+" "+source+" "+g.output())
}

func (g *generator) mount() {
	source := pick(g, slices.Concat(g.folders, g.files))
	if strings.ContainsAny(source, ", $\"'") {
		source = "."
	}
	g.outputs++
	g.lines = append(g.lines, fmt.Sprintf("RUN --mount=type=bind,source=%s,target=/mnt/m cp -a /mnt/m /run%d", source, g.outputs))
	if len(g.ignored) > 0 {
		g.widen("a mount beside an ignore file")
	}
}

// argument is an ARG of a name that others set too.
func (g *generator) argument() {
	name := pick(g, []string{"WHAT", "FOLDER", "TARGETARCH", "UNSET"})
	value := pick(g, []string{"", "=" + g.simpleName()})
	if g.one(3) {
		g.args[name] = g.simpleName()
	}
	g.lines = append(g.lines, "ARG "+name+value, "COPY ./$"+name+" "+g.output())
	g.widen("an argument")
}

func (g *generator) env() {
	name := pick(g, []string{"WHAT", "FOLDER", "OTHER"})
	g.lines = append(g.lines, "ENV "+name+"="+g.simpleName(), "COPY ./${"+name+"} "+g.output())
	if slices.ContainsFunc(g.lines, func(line string) bool { return strings.HasPrefix(line, "ARG "+name) }) {
		g.widen("an argument and a variable")
	}
}

// simpleName is a name that needs no quotes.
func (g *generator) simpleName() string {
	for range 20 {
		name := pick(g, slices.Concat(g.folders[1:], g.files, []string{"src"}))
		if !strings.ContainsAny(name, " $*?[\\\"'~#(!") {
			return name
		}
	}
	return "src"
}

// write writes the workspace.
func (g *generator) write(workspace string) error {
	top := filepath.Join(workspace, contextFolder)
	settings := map[string]any{"dockerfile": "Dockerfile", "context": contextFolder, "args": g.args}
	configuration, err := json.Marshal(map[string]any{"build": settings})
	errs := []error{err, os.MkdirAll(top, 0o755)}
	write := func(name, content string) {
		errs = append(errs, os.WriteFile(filepath.Join(workspace, name), []byte(content), 0o644))
	}
	write(".devcontainer.json", string(configuration))
	write("Dockerfile", strings.Join(g.lines, "\n")+"\n")
	for name, content := range g.ignored {
		write(path.Join(contextFolder, name), content)
	}
	for _, name := range g.folders {
		errs = append(errs, os.MkdirAll(filepath.Join(top, name), 0o755))
	}
	for _, name := range g.files {
		write(path.Join(contextFolder, name), mark(name)+"\n")
	}
	for _, name := range g.links {
		errs = append(errs, os.Symlink(g.targets[name], filepath.Join(top, name)))
	}
	for name, mode := range g.modes {
		errs = append(errs, os.Chmod(filepath.Join(top, name), mode))
	}
	return errors.Join(errs...)
}
