package report

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/vcmalloc/vcmalloc/bench/stat"
)

// palette of Okabe and Ito: told apart by the colour-blind too. Subjects take them in order.
var palette = []color.RGBA{
	{0x99, 0x99, 0x99, 0xff}, {0xd5, 0x5e, 0x00, 0xff}, {0x00, 0x72, 0xb2, 0xff}, {0x00, 0x9e, 0x73, 0xff},
	{0xcc, 0x79, 0xa7, 0xff}, {0xe6, 0x9f, 0x00, 0xff}, {0x56, 0xb4, 0xe9, 0xff}, {0x00, 0x00, 0x00, 0xff},
}

// perPlot is how many cases fit beside each other.
const perPlot = 7

type figure struct {
	Title string
	SVG   template.HTML
	Keys  []key // of its own; nil: the suite's
}

// figures of a suite: the ratios of each main metric, a group of cases per plot.
func (s *Suite) figures() ([]figure, error) {
	var out []figure
	for _, name := range s.mainMetrics() {
		for _, group := range s.groups(name) {
			svg, err := s.ratioPlot(name, group)
			if err != nil {
				return nil, err
			}
			if svg != "" {
				title := name
				if g := group[0].Group; g != "" {
					title += ", " + g
				}
				out = append(out, figure{Title: title + ": ratio to " + s.Baseline + s.betterIs(name), SVG: svg})
			}
		}
	}
	return out, nil
}

// betterIs says which way the metric is good.
func (s *Suite) betterIs(name string) string {
	for _, c := range s.Cases {
		if m := c.Metric(name); m != nil && m.Direction != stat.Neutral {
			return " (" + string(m.Direction) + " is better)"
		}
	}
	return ""
}

// timelines are the memory over time of each case.
func (s *Suite) timelines() ([]figure, error) {
	var out []figure
	for _, c := range s.Cases {
		if len(c.Lines) > 0 {
			svg, err := s.linePlot(c)
			if err != nil {
				return nil, err
			}
			out = append(out, figure{Title: c.Name + ": resident memory over time", SVG: svg})
		}
	}
	return out, nil
}

// groups cuts the cases that have the metric into runs of one group, and those into parts of about one length, at
// most perPlot.
func (s *Suite) groups(metric string) [][]*Case {
	var runs [][]*Case
	for _, c := range s.Cases {
		if m := c.Metric(metric); m == nil || !m.Main {
			continue
		}
		last := len(runs) - 1
		if last < 0 || runs[last][0].Group != c.Group {
			runs = append(runs, nil)
			last++
		}
		runs[last] = append(runs[last], c)
	}
	var out [][]*Case
	for _, r := range runs {
		parts := (len(r) + perPlot - 1) / perPlot
		out = slices.AppendSeq(out, slices.Chunk(r, (len(r)+parts-1)/parts))
	}
	return out
}

// bar is a median and its interval; a NaN median is a bar that is not there.
type bar struct {
	mid, low, high, base float64
	plain                bool // without an interval
}

func (s *Suite) ratioPlot(metric string, cases []*Case) (template.HTML, error) {
	p := plot.New()
	p.Y.Label.Text = "ratio to " + s.Baseline
	p.Y.Min = 0
	p.Add(plotter.NewGrid())
	var others []int
	for i, sub := range s.Subjects {
		if sub.Name != s.Baseline {
			others = append(others, i)
		}
	}
	width := 0.8 / float64(max(len(others), 1))
	top, drawn := 1.0, false
	for k, i := range others {
		bars := make([]bar, len(cases))
		for j, c := range cases {
			bars[j] = bar{mid: math.NaN()}
			if v, ok := c.Metric(metric).Versus[s.Subjects[i].Name]; ok {
				bars[j] = bar{mid: v.Ratio.Median, low: v.Ratio.Low, high: v.Ratio.High}
				top, drawn = max(top, v.Ratio.Median), true
			}
		}
		offset := -0.4 + width*(float64(k)+0.5)
		b := &barSet{bars: bars, offset: offset, width: width * 0.9, fill: colour(i)}
		p.Add(b)
	}
	if !drawn {
		return "", nil
	}
	// A whisker far beyond the medians would flatten the rest: it is cut at the frame, and the table has it.
	p.Y.Max = top * 1.3
	one, err := plotter.NewLine(plotter.XYs{{X: -0.5, Y: 1}, {X: float64(len(cases)) - 0.5, Y: 1}})
	if err != nil {
		return "", err
	}
	one.LineStyle = draw.LineStyle{Color: palette[0], Width: vg.Points(1.5), Dashes: []vg.Length{vg.Points(5), vg.Points(3)}}
	p.Add(one)
	names := make([]string, len(cases))
	for i, c := range cases {
		names[i] = folded(c.Name, 16)
	}
	p.NominalX(names...)
	p.X.Min, p.X.Max = -0.5, float64(len(cases))-0.5
	return render(p, min(vg.Length(max(len(cases), 3))*vg.Centimeter*3.5+2*vg.Centimeter, 2*wide), 8*vg.Centimeter)
}

func (s *Suite) linePlot(c *Case) (template.HTML, error) {
	p := plot.New()
	p.X.Label.Text, p.Y.Label.Text = "seconds", "resident MiB"
	p.X.Min, p.Y.Min = 0, 0
	p.Add(plotter.NewGrid())
	for i, sub := range s.Subjects {
		k := slices.IndexFunc(c.Lines, func(l Line) bool { return l.Subject == sub.Name })
		if k < 0 || len(c.Lines[k].Seconds) == 0 {
			continue
		}
		xy := make(plotter.XYs, len(c.Lines[k].Seconds))
		for j := range xy {
			xy[j] = plotter.XY{X: c.Lines[k].Seconds[j], Y: c.Lines[k].Bytes[j] / (1 << 20)}
		}
		line, err := plotter.NewLine(xy)
		if err != nil {
			return "", err
		}
		line.LineStyle = draw.LineStyle{Color: colour(i), Width: vg.Points(1.5)}
		p.Add(line)
	}
	p.Y.Max *= 1.1
	return render(p, wide, 8*vg.Centimeter)
}

// wide is the width of a plot of which two fit beside each other.
const wide = 16 * vg.Centimeter

// folded breaks a name at spaces into lines of at most about n letters.
func folded(name string, n int) string {
	var b strings.Builder
	line := 0
	for i, word := range strings.Fields(name) {
		switch {
		case i == 0:
		case line+1+len(word) > n:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(word)
		line += len(word)
	}
	return b.String()
}

func render(p *plot.Plot, w, h vg.Length) (template.HTML, error) {
	p.BackgroundColor = color.Transparent
	c := vgsvg.NewWith(vgsvg.UseWH(w, h))
	p.Draw(draw.Crop(draw.New(c), 0, -0.6*vg.Centimeter, 0, -0.2*vg.Centimeter)) // the last labels reach beyond the axes
	var buf bytes.Buffer
	if _, err := c.WriteTo(&buf); err != nil {
		return "", err
	}
	b := buf.Bytes()
	// Only the element: the XML declaration before it does not belong into HTML.
	i := bytes.Index(b, []byte("<svg"))
	if i < 0 {
		return "", fmt.Errorf("no <svg> in the plot")
	}
	if err := xml.Unmarshal(b[i:], new(struct{})); err != nil {
		return "", fmt.Errorf("plot: %w", err)
	}
	return template.HTML(bytes.ReplaceAll(b[i:], []byte("Liberation Serif"), []byte("sans-serif"))), nil
}

// barSet draws one subject's bars with their whiskers.
type barSet struct {
	bars          []bar
	offset, width float64
	fill          color.RGBA
}

func (s *barSet) Plot(c draw.Canvas, p *plot.Plot) {
	tx, ty := p.Transforms(&c)
	whisker := draw.LineStyle{Color: color.Black, Width: vg.Points(0.8)}
	for i, b := range s.bars {
		if math.IsNaN(b.mid) {
			continue
		}
		x := float64(i) + s.offset
		l, r, top := tx(x-s.width/2), tx(x+s.width/2), ty(min(b.mid, p.Y.Max))
		foot := ty(b.base)
		c.FillPolygon(s.fill, []vg.Point{{X: l, Y: foot}, {X: l, Y: top}, {X: r, Y: top}, {X: r, Y: foot}})
		if b.plain {
			continue
		}
		c.StrokeLine2(whisker, tx(x), ty(max(b.low, p.Y.Min)), tx(x), ty(min(b.high, p.Y.Max)))
	}
}

// key is the legend of a suite's plots.
type key struct{ Name, Colour string }

func (s *Suite) keys() []key {
	var out []key
	for i, sub := range s.Subjects {
		out = append(out, key{sub.Name, hex(colour(i))})
	}
	return out
}
