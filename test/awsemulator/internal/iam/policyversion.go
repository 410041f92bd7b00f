package iam

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
	"imagecache.dev/test/awsemulator/internal/wire"
)

type versionXML struct {
	Document         string `xml:",omitempty"`
	VersionID        string `xml:"VersionId"`
	IsDefaultVersion bool
	CreateDate       string
}

type versionOut struct{ PolicyVersion versionXML }

func (p *managedPolicy) version(n int, document bool) versionXML {
	v := p.versions[n]
	out := versionXML{VersionID: "v" + strconv.Itoa(n), IsDefaultVersion: n == p.standard, CreateDate: stamp(v.created)}
	if document {
		out.Document = encoded(v.text)
	}
	return out
}

type createVersionIn struct {
	PolicyArn      string
	PolicyDocument string
	SetAsDefault   bool `json:",string"`
}

func (d *Directory) createPolicyVersion(c *caller.Caller, in *createVersionIn) (*versionOut, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.openOwn(c, "CreatePolicyVersion", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if err := checkManaged(in.PolicyDocument); err != nil {
		return nil, err
	}
	if len(p.versions) >= maxVersions {
		return nil, limitExceeded("A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
	}
	n := p.next
	p.next++
	p.versions[n] = policyVersion{in.PolicyDocument, d.settings.Clock.Now()}
	if in.SetAsDefault {
		p.standard = n
		if err := d.changed(p); err != nil {
			return nil, err
		}
	}
	return &versionOut{p.version(n, false)}, nil
}

type versionIn struct {
	PolicyArn string
	VersionID string `json:"VersionId"`
}

func (p *managedPolicy) find(id string) (int, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "v"))
	if err == nil {
		if _, ok := p.versions[n]; ok {
			return n, nil
		}
	}
	return 0, noSuchEntity("Policy %s version %s does not exist or is not attachable.", p.arn, id)
}

func (d *Directory) getPolicyVersion(c *caller.Caller, in *versionIn) (*versionOut, error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	p, err := d.openPolicy(c, "GetPolicyVersion", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	n, err := p.find(in.VersionID)
	if err != nil {
		return nil, err
	}
	return &versionOut{p.version(n, true)}, nil
}

type listVersionsIn struct {
	PolicyArn string
	Marker    string
	MaxItems  int `json:",string"`
}

type listVersionsOut struct {
	Versions    []versionXML `xml:"Versions>member"`
	IsTruncated bool
	Marker      string `xml:",omitempty"`
}

func (d *Directory) listPolicyVersions(c *caller.Caller, in *listVersionsIn) (*listVersionsOut, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	p, err := d.openPolicy(c, "ListPolicyVersions", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	var all []versionXML
	for _, n := range slices.Sorted(maps.Keys(p.versions)) {
		all = append(all, p.version(n, false))
	}
	key := func(v versionXML) string { return fmt.Sprintf("%09s", v.VersionID[1:]) }
	part, next, err := page.Cut(all, key, in.Marker, size)
	if err != nil {
		return nil, validation("Invalid Marker.")
	}
	return &listVersionsOut{part, next != "", next}, nil
}

func (d *Directory) deletePolicyVersion(c *caller.Caller, in *versionIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.openOwn(c, "DeletePolicyVersion", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	n, err := p.find(in.VersionID)
	if err != nil {
		return nil, err
	}
	if n == p.standard {
		return nil, deleteConflict("Cannot delete the default version of a policy.")
	}
	delete(p.versions, n)
	return &wire.Empty{}, nil
}

func (d *Directory) setDefaultPolicyVersion(c *caller.Caller, in *versionIn) (*wire.Empty, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.openOwn(c, "SetDefaultPolicyVersion", in.PolicyArn)
	if err != nil {
		return nil, err
	}
	n, err := p.find(in.VersionID)
	if err != nil {
		return nil, err
	}
	p.standard = n
	return &wire.Empty{}, d.changed(p)
}
