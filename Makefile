# make demo: a first segmentation, from nothing, in minutes.    make test: the whole test suite.    make bench: speed.
# make camvid: street scenes in a quarter of an hour; downloads the data set (190 MB) and ImageNet weights (100 MB), or
# from mirrors of the two archives, URLs or local paths, and with any other flags but those of folders:
#     make camvid INCEPTION_V3_URL=http://mirror/inception_v3_2016_08_28.tar.gz \
#         CAMVID_FLAGS='--data_url=http://mirror/CamVid.tar.gz --max_iterations=600'
# make quick-test: what a change breaks most often, without training, in a minute.
# Each makes its own environment in $(VENV) from $(PYTHON), and uses it again when it exists:
#     make test PYTHON=python3.7 VENV=.venv37
PYTHON ?= python3
VENV ?= .venv
# TensorFlow with its CUDA libraries where there is an NVIDIA GPU; on a cluster's login node, which has none:
#     make .venv/installed REQUIREMENTS=requirements-gpu.txt
REQUIREMENTS ?= $(if $(shell command -v nvidia-smi),requirements-gpu.txt,requirements.txt)
# Three processes keep two cores busy, and take 9 GB; with less memory: make test PYTEST_ARGS='-n 1'
PYTEST_ARGS ?= -n 3 --dist loadfile
# What make quick-test runs: tests that train nothing and build no large network, but for one of its variables' names.
SLOW_FILES = $(wildcard tests/test_fuzz_*.py) $(patsubst %,tests/test_%.py,backbone BatchDatSetReader faults_in_files \
    faults_in_outputs faults_in_runs first_version inception_FCN make_camvid own_data packaging read_CityscapesData \
    segmenter slurm)
SLOW_BELOW = $(patsubst %,--ignore=tests/%.py,data/test_films data/test_shape_files reporting/test_film_writer \
    reporting/test_plots runs/test_weight_files training/test_going_on training/test_patience training/test_plan_file \
    training/test_step training/test_trial utils/test_command_line) --ignore-glob='*/test_fuzz_*' --ignore-glob='*/test_page_in_browser.py'
QUICK_TESTS = $(filter-out $(SLOW_FILES),$(wildcard tests/test_*.py)) tests/data tests/utils tests/reporting \
    tests/training tests/runs tests/inference/test_metrics.py tests/inference/test_crf.py \
    tests/distributed/test_worker_spec.py tests/nets/test_inception_v3_fcn.py::test_backbone_variables_are_slims \
    $(addprefix tests/test_BatchDatSetReader.py::test_,shapes_and_types samples_are_those_drawn \
        image_and_annotation_stay_aligned) $(SLOW_BELOW) \
    -k 'not 151 and not test_broken_bytes and not test_freed_memory and not test_the_modes_on and \
        not test_errors_of_a_command_whose and not test_archive_of_30000 and not test_colour_tells_most and \
        not test_commands_refuse_black_and_white and not test_that_process_ends and not by_other_flags and \
        not test_pictures_are_reduced and not test_many_are_refused_by'
RUN = $(VENV)/bin/python inception_FCN.py

.PHONY: demo camvid test quick-test other-systems-test smoke bench clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	rm -rf logs/demo results/demo
	@echo '== step one of two: the new layers'
	$(RUN) --mode=train --flagfile=flags/demo.flags --max_iterations=30 \
	    --trainable_scopes=InceptionV3/Logits,InceptionV3/Upsampling
	@echo '== step two of two: all layers'
	$(RUN) --mode=train --flagfile=flags/demo.flags
	@echo '== test, on all validation images'
	$(RUN) --mode=test --flagfile=flags/demo.flags
	@echo '== visualize'
	$(RUN) --mode=visualize --flagfile=flags/demo.flags
	@echo 'Open results/demo/index.html in a browser, or look at results/demo/pic_0.png; scores: results/demo/metrics.txt.'

camvid: $(VENV)/installed
	@echo '== weights, data set and training; after an interruption the same command goes on'
	$(RUN) --mode=train --flagfile=flags/camvid.flags $(CAMVID_FLAGS)
	@echo '== test, on all validation images'
	$(RUN) --mode=test --flagfile=flags/camvid.flags $(CAMVID_FLAGS)
	@echo '== visualize'
	$(RUN) --mode=visualize --flagfile=flags/camvid.flags $(CAMVID_FLAGS)
	@echo 'Open results/camvid/index.html in a browser; scores: results/camvid/metrics.txt.'

test: $(VENV)/installed-for-tests
	@! $(VENV)/bin/python -c 'import ruff' 2>/dev/null || $(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS)

quick-test: $(VENV)/installed-for-tests
	@! $(VENV)/bin/python -c 'import ruff' 2>/dev/null || $(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m pytest $(PYTEST_ARGS) $(QUICK_TESTS)

# The suite with names that Windows lacks taken out of Python (tests/other_systems): a simulation.
other-systems-test: $(VENV)/installed-for-tests
	PYTHONPATH=tests/other_systems $(VENV)/bin/python -m pytest -p other_systems $(PYTEST_ARGS)

# Training to export with another TensorFlow, such as a cluster's: make smoke TENSORFLOW=2.15.1 PYTHON=python3.11
smoke:
	$(if $(TENSORFLOW),,$(error Name a version: make smoke TENSORFLOW=2.15.1))
	$(PYTHON) -m venv .venv-$(TENSORFLOW)
	.venv-$(TENSORFLOW)/bin/python -m pip install --quiet --disable-pip-version-check tensorflow==$(TENSORFLOW) .
	.venv-$(TENSORFLOW)/bin/python tests/smoke.py

# One table, and logs/bench.csv; BENCH_ARGS=--quick: one head, once, in some minutes.
bench: $(VENV)/installed
	$(VENV)/bin/python benchmarks/bench.py $(BENCH_ARGS)

clean:
	rm -rf .venv .venv37 logs/demo results/demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v == (3, 7) or (3, 10) <= v <= (3, 13) else "Python %d.%d is not supported: TensorFlow 2.21 needs Python 3.10 to 3.13, TensorFlow 1.15 needs 3.7. Name one with PYTHON=, for example: make $(MAKECMDGOALS) PYTHON=python3.11" % v)'
	$(PYTHON) -m venv $(VENV)

# Is there once a list was asked for: an environment that lacks it gets it then.
$(VENV)/wanted-%: | $(VENV)/bin/python
	@touch $@

# The dense CRF is compiled; where that fails, everything but its panel still works.
$(VENV)/installed: requirements.txt requirements-gpu.txt $(VENV)/wanted-$(REQUIREMENTS) | $(VENV)/bin/python
	@echo "Installing $(REQUIREMENTS) into $(VENV), a minute or two"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(REQUIREMENTS) || { \
	    echo 'Installing again without pydensecrf2, which did not build here: no dense-CRF panels.'; \
	    mkdir -p $(VENV)/without-crf; \
	    for list in requirements.txt requirements-gpu.txt; do \
	        grep -v '^pydensecrf2' $$list > $(VENV)/without-crf/$$list; done; \
	    $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $(VENV)/without-crf/$(REQUIREMENTS); }
	@touch $@

$(VENV)/installed-for-tests: requirements-test.txt $(VENV)/installed
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-test.txt
	@touch $@
