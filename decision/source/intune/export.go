package intune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	maxExport    = 256 << 20 // bytes of the packed file
	maxUnpacked  = 2 << 30   // bytes of the table in it
	maxExportAge = 3 * time.Minute
	exportsPath  = "/beta/deviceManagement/reports/exportJobs"
)

// export lists everything by one export job after reading what changed, so that
// every device that checked in has a full record. If the job fails, the listing
// is paged.
func (s *Source) export(ctx context.Context, p *pass) (mode string, err error) {
	if err := s.changes(ctx, p); err != nil {
		return modeExport, err
	}
	s.readSettings(ctx, p.now)
	file, err := s.runExport(ctx)
	var b *source.Builder
	if err == nil {
		b, err = s.readExport(ctx, p, file)
	}
	s.mu.Lock()
	if err == nil {
		s.stats.Exports++
	} else {
		s.stats.ExportsFailed++
	}
	s.mu.Unlock()
	switch {
	case err == nil:
		return modeExport, s.replace(ctx, p, b, modeExport)
	case ctx.Err() != nil || isThrottled(err):
		return modeExport, err
	}
	s.o.Logger.Warn("intune export failed, listing devices page by page", "error", err)
	return modePaged, s.page(ctx, p)
}

// exportJob is a Graph deviceManagementExportJob.
type exportJob struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	URL    string `json:"url"`
}

// runExport asks for the report of all devices and waits for it, for at most
// three minutes and half of the time that the Sync has.
func (s *Source) runExport(ctx context.Context) ([]byte, error) {
	limit := maxExportAge
	if end, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)/2)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	job, err := s.job(limited, msgraph.Request{
		Endpoint: msgraph.Reports, Method: "POST", Path: exportsPath, Priority: "Low",
		// No "select": a column that a cloud does not know would fail the job.
		Body: map[string]string{"reportName": "DevicesWithInventory", "format": "csv", "localizationType": "replaceLocalizableValues"},
	})
	if err != nil {
		return nil, err
	}
	id := job.ID
	if id == "" || strings.ContainsFunc(id, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return nil, errors.New("export job has no usable id")
	}
	wait := time.Second
	for {
		switch job.Status {
		case "completed", "complete":
			if job.URL == "" {
				return nil, errors.New("export job is complete without a file")
			}
			return s.o.Client.Download(ctx, msgraph.Reports, job.URL, maxExport)
		case "failed":
			return nil, errors.New("export job failed")
		}
		if err := sleep(limited, wait); err != nil {
			return nil, fmt.Errorf("export job took too long: %w", err)
		}
		wait = min(2*wait, 15*time.Second)
		job, err = s.job(limited, msgraph.Request{Endpoint: msgraph.Reports, Path: exportsPath + "('" + id + "')", Priority: "Low"})
		if err != nil {
			return nil, err
		}
	}
}

func (s *Source) job(ctx context.Context, r msgraph.Request) (exportJob, error) {
	var job exportJob
	a, err := s.o.Client.Do(ctx, r)
	if err == nil && json.Unmarshal(a.Body, &job) != nil {
		err = errors.New("export job cannot be read")
	}
	return job, err
}

// sleep waits for the job to make progress.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// readExport reads the file of an export job: a zip with one CSV.
func (s *Source) readExport(ctx context.Context, p *pass, file []byte) (*source.Builder, error) {
	table, err := openExport(file)
	if err != nil {
		return nil, err
	}
	defer table.Close()
	b := source.NewBuilder(0)
	err = readCSV(table, func(row int, r *record, err error) error {
		if err == nil {
			err = s.addExported(p, b, r)
		}
		if err != nil {
			p.refuse(fmt.Sprintf("row %d of the export", row), err)
		}
		return ctx.Err()
	})
	return b, err
}

func (s *Source) addExported(p *pass, b *source.Builder, r *record) error {
	d := decoder{now: p.now, fields: p.fields, patchWithin: p.patchWithin, export: true}
	v, err := d.verdict(r)
	p.fields = d.fields
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known, ok := s.fleet.get(v.Keys[0]); ok {
		if known.Compliance == decision.ComplianceNotEvaluated && s.proofs.pending[v.Keys[0].Value] {
			known.Compliance = decision.Compliant // what the record says; assess holds it back again
		}
		s.healths.forget(&known)
		v = join(&known, &v)
	}
	s.assess(&v, p.now)
	return b.Add(&v)
}

// join brings a full record up to date with a row of an export. The row is newer
// only if the device checked in since: reports lag behind, so at the same
// check-in they count only if they say worse. Who decides about compliance and
// the threat level stay as the full record has them.
func join(known, row *decision.Verdict) decision.Verdict {
	v := *known
	later := row.LastCheckIn.After(known.LastCheckIn)
	newer := later && row.Compliance != decision.ComplianceUnknown
	decides := known.Channel == decision.ChannelIntune || known.Channel == decision.ChannelCoManaged && known.Compliance != decision.ComplianceDelegated
	if decides && row.Compliance != decision.ComplianceUnknown && row.Compliance != decision.ComplianceDelegated &&
		(newer || good(known.Compliance) && !good(row.Compliance)) {
		v.Compliance, v.GraceUntil = row.Compliance, row.GraceUntil
		if !failing(v.Compliance) {
			v.Settings = nil
		}
	}
	if later {
		obscure(&v, row, decides)
	}
	if !newer {
		v.Lifecycle = decision.GraverLifecycle(v.Lifecycle, row.Lifecycle)
		if row.Jailbroken == decision.Yes {
			v.Jailbroken = decision.Yes
		}
		if row.Updated == decision.No {
			v.Updated = decision.No // a patch level grows old by itself
		}
	} else {
		v.LastCheckIn = row.LastCheckIn
		renew(&v.Lifecycle, row.Lifecycle)
		renew(&v.Jailbroken, row.Jailbroken)
		renew(&v.Encrypted, row.Encrypted)
		renew(&v.Supervised, row.Supervised)
		renew(&v.Updated, row.Updated)
		renew(&v.Ownership, row.Ownership)
		renew(&v.OSVersion, row.OSVersion)
		renew(&v.Name, row.Name)
		renew(&v.OwnerID, row.OwnerID)
		renew(&v.OwnerUPN, row.OwnerUPN)
	}
	v.Unreadable = unread(v.Unreadable, &v.Device)
	return v
}

// obscure takes back good news of a full record about which a later row says what
// cannot be read. Bad news stays.
func obscure(v, row *decision.Verdict, decides bool) {
	lost := row.Unreadable
	if lost.Has(decision.FactCompliance) && decides && good(v.Compliance) {
		v.Compliance, v.GraceUntil = decision.ComplianceUnknown, time.Time{}
	}
	if lost.Has(decision.FactLifecycle) && !ends(v.Lifecycle) {
		v.Lifecycle = decision.LifecycleUnknown
	}
	for f, have := range map[decision.Fact]*decision.Tri{
		decision.FactEncrypted: &v.Encrypted, decision.FactSupervised: &v.Supervised, decision.FactUpdated: &v.Updated,
	} {
		if lost.Has(f) && *have == decision.Yes {
			*have = decision.Unknown
		}
	}
	if lost.Has(decision.FactJailbroken) && v.Jailbroken == decision.No {
		v.Jailbroken = decision.Unknown
	}
	// What a row says about the owner, the system and who decides does not count
	// against the record.
	v.Unreadable |= lost & decision.Facts(decision.FactCompliance, decision.FactLifecycle, decision.FactEncrypted,
		decision.FactSupervised, decision.FactUpdated, decision.FactJailbroken)
}

// renew takes what is known.
func renew[T comparable](have *T, v T) {
	var unknown T
	if v != unknown {
		*have = v
	}
}
