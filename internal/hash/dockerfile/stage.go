package dockerfile

import (
	"fmt"
	"slices"
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
	base     *stage   // nil where it starts from no stage
	from     []origin // images, contexts and remotes that it may start from
	commands []instructions.Command
	uses     []*stage // by COPY --from and RUN --mount=from
	end      environment
	// foreign says that variables may come from an image that is not known here.
	foreign bool
	reached bool
}

// linkStages resolves the bases of all stages and the stages that they use.
func (a *analysis) linkStages(parsed []instructions.Stage) error {
	for _, s := range parsed {
		current := &stage{Stage: s, line: lineOf(s.Location), commands: s.Commands}
		if err := a.linkBase(current); err != nil {
			return fmt.Errorf("line %d: %w", current.line, err)
		}
		a.stages = append(a.stages, current)
	}
	for _, s := range a.stages {
		for _, command := range s.commands {
			for _, from := range fromOf(command) {
				for _, used := range a.origins(from) {
					s.uses = append(s.uses, used.stage)
				}
			}
		}
	}
	return nil
}

// linkBase resolves what a stage starts from. Stages before it are linked.
func (a *analysis) linkBase(s *stage) error {
	written := s.BaseName
	var err error
	var known bool
	if s.BaseName, known, err = a.expandGlobal(s.BaseName, s.line); err != nil {
		return err
	}
	if !known {
		s.uses = append(s.uses, a.stages...) // it may start from any stage before it
	}
	if s.BaseName == "" {
		return fmt.Errorf("base image %s is empty", written)
	}
	if s.platform, _, err = a.expandGlobal(s.Platform, s.line); err != nil {
		return err
	}
	s.base = a.named(s.BaseName)
	contexts, exact := a.contexts(s.BaseName)
	if s.base == nil && !exact && s.BaseName != noImage {
		s.from = append(s.from, origin{image: s.BaseName})
	}
	// BuildKit also replaces a stage by a context of the stage's own name.
	replacements, _ := a.contexts(s.Name)
	s.from = slices.Concat(s.from, contexts, replacements)
	if s.base == nil {
		return nil
	}
	triggers, err := onBuild(s.base.Stage.Commands)
	if err != nil {
		return err
	}
	s.commands = slices.Concat(triggers, s.Commands)
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
			node.StartLine = trigger.Location()[0].Start.Line
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

// lineOf returns a line of the Dockerfile as it was written.
func lineOf(location []parser.Range) int {
	if len(location) == 0 {
		return 0
	}
	return max(0, location[0].Start.Line-prefixLines)
}
