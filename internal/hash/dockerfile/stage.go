package dockerfile

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// noImage is the base of a stage that starts empty.
const noImage = "scratch"

// stage is one stage of a Dockerfile with what it depends on.
type stage struct {
	instructions.Stage
	line     int
	platform string
	base     *stage // nil for an image, a context or nothing
	commands []instructions.Command
	uses     []*stage // by COPY --from and RUN --mount=from
	end      environment
	// foreign says that variables may come from an image that is not known here.
	foreign bool
	reached bool
}

// origin is where COPY --from or a mount takes from: exactly one is set,
// or none for "scratch".
type origin struct {
	stage   *stage
	image   string
	context string // folder of a named context
	remote  string
}

// linkStages resolves the bases of all stages and the stages that they use.
func (a *analysis) linkStages(parsed []instructions.Stage) error {
	for _, s := range parsed {
		current := &stage{Stage: s, line: lineOf(s.Location)}
		name, err := a.lex.ProcessWordWithMatches(s.BaseName, a.global)
		if err != nil {
			return fmt.Errorf("line %d: %w", current.line, err)
		}
		if name.Result == "" {
			return fmt.Errorf("line %d: base image %s is empty", current.line, s.BaseName)
		}
		current.BaseName = name.Result
		platform, err := a.lex.ProcessWordWithMatches(s.Platform, a.global)
		if err != nil {
			return fmt.Errorf("line %d: %w", current.line, err)
		}
		current.platform = platform.Result
		current.base = a.named(current.BaseName)
		current.commands = s.Commands
		if current.base != nil {
			triggers, err := onBuild(current.base.Stage.Commands)
			if err != nil {
				return fmt.Errorf("line %d: %w", current.line, err)
			}
			current.commands = slices.Concat(triggers, s.Commands)
		}
		a.stages = append(a.stages, current)
	}
	for _, s := range a.stages {
		for _, command := range s.commands {
			for _, from := range fromOf(command) {
				if used := a.origin(from).stage; used != nil {
					s.uses = append(s.uses, used)
				}
			}
		}
	}
	return nil
}

// onBuild parses the triggers that a stage leaves to the stages that start from it.
func onBuild(commands []instructions.Command) ([]instructions.Command, error) {
	var triggers []instructions.Command
	for _, command := range commands {
		trigger, ok := command.(*instructions.OnbuildCommand)
		if !ok {
			continue
		}
		parsed, err := parser.Parse(strings.NewReader(trigger.Expression))
		if err != nil {
			return nil, fmt.Errorf("ONBUILD: %w", err)
		}
		for _, node := range parsed.AST.Children {
			node.StartLine = lineOf(trigger.Location())
			command, err := instructions.ParseCommand(node)
			if err != nil {
				return nil, fmt.Errorf("ONBUILD: %w", err)
			}
			triggers = append(triggers, command)
		}
	}
	return triggers, nil
}

// fromOf returns the names that a command takes files from.
func fromOf(command instructions.Command) []string {
	switch c := command.(type) {
	case *instructions.CopyCommand:
		if c.From != "" {
			return []string{c.From}
		}
	case *instructions.RunCommand:
		var names []string
		for _, mount := range instructions.GetMounts(c) {
			if mount.From != "" {
				names = append(names, mount.From)
			}
		}
		return names
	}
	return nil
}

// named finds the last stage of a name, whatever its case.
func (a *analysis) named(name string) *stage {
	for _, s := range slices.Backward(a.stages) {
		if s.Name != "" && strings.EqualFold(s.Name, name) {
			return s
		}
	}
	return nil
}

// origin resolves a name of --from: a named context before a stage, a stage
// by name or number, else an image.
func (a *analysis) origin(name string) origin {
	if target, found := a.context(name); found {
		return target
	}
	if s := a.named(name); s != nil {
		return origin{stage: s}
	}
	if index, err := strconv.Atoi(name); err == nil && index >= 0 && index < len(a.stages) {
		return origin{stage: a.stages[index]}
	}
	if name == noImage {
		return origin{}
	}
	return origin{image: name}
}

// context resolves a named context:
// https://docs.docker.com/reference/cli/docker/buildx/build/#build-context
func (a *analysis) context(name string) (origin, bool) {
	for given, source := range a.options.Contexts {
		if !strings.EqualFold(given, name) {
			continue
		}
		scheme, rest, found := strings.Cut(source, "://")
		switch {
		case found && scheme == "docker-image":
			return origin{image: rest}, true
		case found || strings.HasPrefix(source, "target:") || strings.HasPrefix(source, "git@"):
			return origin{remote: source}, true
		default:
			return origin{context: source}, true
		}
	}
	return origin{}, false
}

// reach marks a stage and all that it needs.
func (s *stage) reach() {
	if s == nil || s.reached {
		return
	}
	s.reached = true
	s.base.reach()
	for _, used := range s.uses {
		used.reach()
	}
}

func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return location[0].Start.Line
}
