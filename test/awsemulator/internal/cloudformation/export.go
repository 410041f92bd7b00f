package cloudformation

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// Exports are outputs that other stacks import.
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-exports.html

type exportXML struct {
	ExportingStackID string `xml:"ExportingStackId"`
	Name             string
	Value            string
}

// exported are the exports of all stacks, by name. Callers hold the lock.
func (s *Service) exported() []exportXML {
	var out []exportXML
	for _, name := range slices.Sorted(maps.Keys(s.stacks)) {
		st := s.stacks[name]
		for _, o := range st.outputs {
			if o.ExportName != "" && st.deleted.IsZero() {
				out = append(out, exportXML{st.id, o.ExportName, o.OutputValue})
			}
		}
	}
	slices.SortFunc(out, func(a, b exportXML) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (s *Service) export(name string) (string, error) {
	for _, e := range s.exported() {
		if e.Name == name {
			return e.Value, nil
		}
	}
	return "", fmt.Errorf("No export named %s found", name)
}

// importers are the names of the stacks that import an export.
func (s *Service) importers(export string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(s.stacks)) {
		if st := s.stacks[name]; st.deleted.IsZero() && slices.Contains(st.imports, export) {
			out = append(out, name)
		}
	}
	return out
}

// mayExport tells why a stack can't have these outputs: an export belongs to one stack, and stays as it is while another imports it.
func (s *Service) mayExport(st *stack, outputs []outputXML) error {
	now := map[string]string{}
	for _, o := range outputs {
		if o.ExportName == "" {
			continue
		}
		if _, twice := now[o.ExportName]; twice {
			return fmt.Errorf("Output %s has the export name %s of another output", o.OutputKey, o.ExportName)
		}
		now[o.ExportName] = o.OutputValue
		for _, e := range s.exported() {
			if e.Name == o.ExportName && e.ExportingStackID != st.id {
				return fmt.Errorf("Export with name %s is already exported by stack %s", e.Name, s.find(e.ExportingStackID).name)
			}
		}
	}
	for _, o := range st.outputs {
		users := s.importers(o.ExportName)
		if o.ExportName == "" || len(users) == 0 {
			continue
		}
		value, stays := now[o.ExportName]
		switch {
		case !stays:
			return fmt.Errorf("Delete canceled. Cannot delete export %s as it is in use by %s.", o.ExportName, strings.Join(users, " and "))
		case value != o.OutputValue:
			return fmt.Errorf("Export %s cannot be updated as it is in use by %s", o.ExportName, strings.Join(users, " and "))
		}
	}
	return nil
}

type listExportsIn struct{ NextToken string }

type listExportsOut struct {
	Exports   []exportXML `xml:"Exports>member"`
	NextToken string      `xml:",omitempty"`
}

func (s *Service) listExports(c *caller.Caller, in *listExportsIn) (*listExportsOut, error) {
	if err := c.Authorize(caller.Access{Action: "cloudformation:ListExports", Resource: "*"}); err != nil {
		return nil, err
	}
	defer s.lock(c)()
	part, next, err := page.Cut(s.exported(), func(e exportXML) string { return e.Name }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	return &listExportsOut{part, next}, nil
}

type listImportsIn struct {
	ExportName string
	NextToken  string
}

type listImportsOut struct {
	Imports   []string `xml:"Imports>member"`
	NextToken string   `xml:",omitempty"`
}

func (s *Service) listImports(c *caller.Caller, in *listImportsIn) (*listImportsOut, error) {
	if err := c.Authorize(caller.Access{Action: "cloudformation:ListImports", Resource: "*"}); err != nil {
		return nil, err
	}
	defer s.lock(c)()
	users := s.importers(in.ExportName)
	if len(users) == 0 {
		return nil, validation("Export '%s' is not imported by any stack.", in.ExportName)
	}
	part, next, err := page.Cut(users, func(name string) string { return name }, in.NextToken, stacksPage)
	if err != nil {
		return nil, validation("Invalid NextToken")
	}
	return &listImportsOut{part, next}, nil
}
