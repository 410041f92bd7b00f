// Command links checks the Markdown files of a tree: every relative link names a file or folder that exists, every
// anchor a heading, every path in backticks a file or folder, and docs/architecture.md links to every package that
// ships. It prints one line for each fault.
//
//	links [FOLDER]
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	files, err := tracked(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "links:", err)
		os.Exit(2)
	}
	faults, err := check(os.DirFS(root), files)
	if err != nil {
		fmt.Fprintln(os.Stderr, "links:", err)
		os.Exit(2)
	}
	for _, fault := range faults {
		fmt.Println(fault)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// tracked lists the files of a work tree that git does not ignore and that exist, as slash-separated relative paths.
func tracked(root string) ([]string, error) {
	command := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	command.Dir = root
	command.Stderr = os.Stderr
	printed, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	var files []string
	for name := range strings.SplitSeq(strings.TrimSuffix(string(printed), "\x00"), "\x00") {
		if _, err := os.Lstat(filepath.Join(root, filepath.FromSlash(name))); err == nil {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	return files, nil
}

// architecture is the page that links to every package that ships.
const architecture = "docs/architecture.md"

// check returns the faults of all Markdown files, in the order of files and lines.
func check(tree fs.FS, files []string) ([]string, error) {
	known := map[string]bool{".": true}
	for _, file := range files {
		for name := file; name != "."; name = path.Dir(name) {
			known[name] = true
		}
	}
	pages := map[string]*page{}
	var names []string
	for _, file := range files {
		if path.Ext(file) != ".md" {
			continue
		}
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		pages[file] = parse(text)
		names = append(names, file)
	}
	var faults []string
	for _, name := range names {
		for _, reference := range pages[name].references {
			if fault := reference.fault(name, known, pages); fault != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s", name, reference.line, fault))
			}
		}
	}
	if overview, ok := pages[architecture]; ok {
		for _, folder := range packages(files) {
			if !overview.linksTo(folder) {
				faults = append(faults, fmt.Sprintf("%s: no link to the package %s", architecture, folder))
			}
		}
	}
	return faults, nil
}

// shipped are the folders whose packages are built into the programs.
var shipped = []string{"api/", "cmd/", "controllers", "internal/"}

// packages lists the folders of the Go packages that ship, without those that only tests import or tools generate.
func packages(files []string) []string {
	var found []string
	for _, file := range files {
		folder := path.Dir(file)
		if path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") || strings.HasSuffix(folder, "test") ||
			strings.Contains(folder, "/applyconfiguration") || slices.Contains(found, folder) {
			continue
		}
		if slices.ContainsFunc(shipped, func(prefix string) bool { return strings.HasPrefix(folder+"/", prefix) }) {
			found = append(found, folder)
		}
	}
	return found
}

// page is what is checked of one Markdown file.
type page struct {
	anchors    map[string]bool
	references []reference
}

// reference is one link, or one path in backticks.
type reference struct {
	line   int
	target string
	code   bool
}

var (
	heading  = regexp.MustCompile(`^#{1,6}\s+(.*?)\s*#*$`)
	link     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codeSpan = regexp.MustCompile("`([^`]+)`")
	scheme   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
	// ownPath is a code span that names a file or folder of this project.
	ownPath = regexp.MustCompile(`^(api|cmd|config|controllers|charts|docs|hack|internal|test|\.github|\.ci)/[\w./-]*$`)
)

func parse(text []byte) *page {
	p := &page{anchors: map[string]bool{}}
	counts := map[string]int{}
	fence := ""
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, len(text)+1)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		if marker := fenceOf(line); marker != "" {
			switch fence {
			case "":
				fence = marker
			case marker:
				fence = ""
			}
			continue
		}
		if fence != "" {
			continue
		}
		if found := heading.FindStringSubmatch(line); found != nil {
			anchor := slug(found[1])
			if n := counts[anchor]; n > 0 {
				p.anchors[anchor+"-"+strconv.Itoa(n)] = true
			} else {
				p.anchors[anchor] = true
			}
			counts[anchor]++
		}
		for _, found := range codeSpan.FindAllStringSubmatch(line, -1) {
			if ownPath.MatchString(found[1]) && !strings.Contains(found[1], "...") {
				p.references = append(p.references, reference{line: number, target: found[1], code: true})
			}
		}
		// A link's text may be code; what is inside of other code is no link.
		for _, found := range link.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, "code"), -1) {
			if !scheme.MatchString(found[1]) {
				p.references = append(p.references, reference{line: number, target: found[1]})
			}
		}
	}
	return p
}

// fenceOf returns the marker with which a line begins or ends a block of code, or "".
func fenceOf(line string) string {
	line = strings.TrimLeft(line, " ")
	for _, marker := range []string{"```", "~~~"} {
		if strings.HasPrefix(line, marker) {
			return marker
		}
	}
	return ""
}

// slug is the anchor that GitHub gives a heading.
func slug(title string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(link.ReplaceAllString(title, "]")) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// fault says what is wrong with a reference of a page, or "".
func (r reference) fault(from string, known map[string]bool, pages map[string]*page) string {
	if r.code {
		// Decision records and the changelog tell how things were.
		if !strings.HasPrefix(from, "docs/adr/") && from != "CHANGELOG.md" && !known[path.Clean(r.target)] {
			return fmt.Sprintf("%s does not exist", r.target)
		}
		return ""
	}
	target, anchor, anchored := strings.Cut(r.target, "#")
	file := from
	if target != "" {
		file = path.Join(path.Dir(from), target)
	}
	if !known[file] {
		return fmt.Sprintf("the link %s leads to %s, which does not exist", r.target, file)
	}
	if other, ok := pages[file]; anchored && ok && !other.anchors[anchor] {
		return fmt.Sprintf("the link %s leads to a heading that %s does not have", r.target, file)
	}
	return ""
}

// linksTo reports whether a page of docs/ links to a folder of the tree.
func (p *page) linksTo(folder string) bool {
	return slices.ContainsFunc(p.references, func(r reference) bool {
		return !r.code && path.Join("docs", r.target) == folder
	})
}
