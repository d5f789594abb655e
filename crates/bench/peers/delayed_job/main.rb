# delayed_job with Active Record: one process, one job at a time, as many jobs read ahead as it does by default, looking once a
# second instead of every five. Told what to do as ../README.md says.
require "active_record"
require "delayed_job"
require "delayed_job_active_record"
require "logger"

$stdout.sync = true

def now = Process.clock_gettime(Process::CLOCK_MONOTONIC, :nanosecond)

# The job, and the count of those that have begun.
class Empty < Struct.new(:nothing)
  class << self
    attr_accessor :ran, :expected
  end
  self.ran = 0

  def perform
    self.class.ran += 1
    ran, expected = self.class.ran, self.class.expected
    if expected == 0 then puts now
    elsif ran == 1 then puts "first #{now}"
    end
    puts "all #{now}" if ran == expected
  end
end

def connect
  ActiveRecord::Base.establish_connection(ENV.fetch("DATABASE_URL").sub("postgres://", "postgresql://"))
  ActiveRecord::Base.connection.execute("select 1")
  Delayed::Worker.backend = :active_record
  Delayed::Worker.logger = Logger.new(nil)
end

# The columns and the index of the generator's migration.
def migrate
  connection = ActiveRecord::Base.connection
  connection.create_table :delayed_jobs do |table|
    table.integer :priority, default: 0, null: false
    table.integer :attempts, default: 0, null: false
    table.text :handler, null: false
    table.text :last_error
    table.datetime :run_at
    table.datetime :locked_at
    table.datetime :failed_at
    table.string :locked_by
    table.string :queue
    table.timestamps null: true
  end
  connection.add_index :delayed_jobs, [:priority, :run_at], name: "delayed_jobs_priority"
end

def work(expected)
  Empty.expected = expected
  Delayed::Worker.sleep_delay = 1
  Delayed::Worker.raise_signal_exceptions = :term
  puts "ready"
  $stdin.gets
  Delayed::Worker.new(quiet: true).start
rescue SignalException
  exit
end

def enqueue
  puts "ready"
  while (line = $stdin.gets)
    _, count = line.split
    before = now
    if count
      # It has no interface for many at once; this is its interface for one, in transactions of a thousand.
      count.to_i.times.each_slice(1000) do |slice|
        ActiveRecord::Base.transaction { slice.each { Delayed::Job.enqueue(Empty.new) } }
      end
    else
      Delayed::Job.enqueue(Empty.new)
    end
    puts "#{before} #{now}"
  end
end

what, count = ARGV
if what == "version"
  versions = %w[delayed_job delayed_job_active_record activerecord].map { |name| "#{name} #{Gem.loaded_specs[name].version}" }
  puts "#{versions.join(", ")}, Ruby #{RUBY_VERSION}"
  exit
end
connect
case what
when "migrate"
  migrate
  puts "ready"
when "work" then work(count.to_i)
when "enqueue" then enqueue
end
